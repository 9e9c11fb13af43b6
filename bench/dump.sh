#!/usr/bin/env bash
# Benchmark: time to inspect a dump, compared with standard tools:
#
#   a 20,000-table archive   capydb import preflight   vs.   pg_restore -l
#   1 GiB of COPY rows       capydb import preflight   vs.   wc -l
#   1 GiB of INSERTs         capydb import preflight   vs.   wc -l
#
# The dumps are created once, by pg_dump from a running server, and kept in BENCH_DIR
# (default: the cache directory's bench/). Rounds are interleaved; medians are compared.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${ROUNDS:-7}
cache=$([ "$(id -u)" = 0 ] && echo /var/cache/capydb || echo "${XDG_CACHE_HOME:-$HOME/.cache}/capydb")
dir=${BENCH_DIR:-$cache/bench}
bin=$(bash src/server/postgres/fetch-debian.sh 17 "$cache/postgres/17")
capydb=target/release/capydb

create_dumps() {
    echo "Creating the dumps in $dir (once)…" >&2
    mkdir -p "$dir"
    local server_dir
    server_dir=$(mktemp -d)
    chmod 755 "$server_dir"
    coproc SERVER { exec bash tests/support/source-server.sh "$bin" "$server_dir" max_locks_per_transaction=1024 max_wal_size=8GB; }
    local port server=${SERVER[1]}
    read -r port <&"${SERVER[0]}"
    export PGHOST=127.0.0.1 PGPORT=$port PGUSER=owner PGPASSWORD=source-secret PGDATABASE=postgres PGOPTIONS='-c client_min_messages=warning'
    "$bin/createdb" many
    seq 20000 | sed 's/.*/create table t& (id int primary key, note text);/' | "$bin/psql" -qX many
    "$bin/pg_dump" -Fc -f "$dir/many.dump.new" many
    "$bin/createdb" big
    "$bin/psql" -qX big <<'SQL'
create table event (id bigint primary key, name text, email text, note text, at timestamptz, amount numeric(12, 2), active boolean, removed text);
insert into event
select i, 'Person ' || md5(i::text), 'p' || i || '@example.com',
       case i % 5 when 0 then 'it''s "quoted"; -- no comment' when 1 then E'C:\\temp\\' || i when 2 then 'line one' || chr(10) || 'line two ' || md5((-i)::text)
                  when 3 then null else repeat(md5((i * 7)::text), 2) end,
       timestamptz '2020-01-01' + i * interval '1 second', (i % 100000) / 7.0, i % 2 = 0, null
from generate_series(1, 7300000) i;
SQL
    "$bin/pg_dump" big >"$dir/copy.sql.new"
    "$bin/psql" -qX big -c 'delete from event where id > 5600000'
    "$bin/pg_dump" --inserts big >"$dir/insert.sql.new"
    exec {server}>&-
    wait "$SERVER_PID" || true
    for name in many.dump copy.sql insert.sql; do mv "$dir/$name.new" "$dir/$name"; done
}

[ -f "$dir/insert.sql" ] || create_dumps

median() { sort -n | awk '{ values[NR] = $1 } END { print values[int((NR + 1) / 2)] }'; }

seconds() {
    local started=$EPOCHREALTIME
    "$@" >/dev/null 2>&1
    awk -v a="$started" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.4f\n", b - a }'
}

preflight() { "$capydb" import preflight --file "$1" --target-version 17 --plan-limit 1TB; }

compare() {
    local title=$1 file=$2 capydb_times=() other_times=() round
    shift 2
    cat "$file" >/dev/null # warm the page cache for both
    preflight "$file" >/dev/null 2>&1 || true
    for ((round = 0; round < rounds; round++)); do
        capydb_times+=("$(seconds preflight "$file")")
        other_times+=("$(seconds "$@" "$file")")
    done
    local capydb_median other_median
    capydb_median=$(printf '%s\n' "${capydb_times[@]}" | median)
    other_median=$(printf '%s\n' "${other_times[@]}" | median)
    awk -v title="$title" -v size="$(stat -c %s "$file")" -v other="$*" -v a="$capydb_median" -v b="$other_median" \
        'BEGIN { printf "%-22s %6.0f MB   capydb %.3f s   %s %.3f s   ratio %.2f\n", title, size / 1e6, a, other, b, a / b }'
}

compare "archive, 20,000 tables" "$dir/many.dump" "$bin/pg_restore" -l
compare "plain, COPY" "$dir/copy.sql" wc -l
compare "plain, INSERT" "$dir/insert.sql" wc -l

#!/usr/bin/env bash
# Benchmark: time to upload a dump, compared with standard tools:
#
#   capydb import --file   vs.   curl -T   and   rclone (WebDAV)
#
# One `PUT` of 1 GiB to a sink that discards the body, over plain HTTP and over TLS, and one of
# 256 MiB over a 1 Gbit/s link. The `capydb` time is that of a whole import command: read the
# dump, request an upload, draw progress, start the job. Rounds alternate with curl's and swap
# their order each time; a ratio is the median of the ratios to curl within a round.
#
# Runs in a network namespace of its own with `cubic`, the usual default: results with BBR over
# the loopback interface are meaningless.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${ROUNDS:-11}
cache=$([ "$(id -u)" = 0 ] && echo /var/cache/capydb || echo "${XDG_CACHE_HOME:-$HOME/.cache}/capydb")
dir=${BENCH_DIR:-$cache/bench}
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

if [ "${1-}" != inside ]; then
    bin=$(bash src/server/postgres/fetch-debian.sh 17 "$cache/postgres/17")
    mkdir -p "$dir"
    if [ ! -f "$dir/upload-small.dump" ]; then
        echo "Creating the dumps in $dir (once)…" >&2
        server_dir=$(mktemp -d)
        chmod 755 "$server_dir"
        coproc SERVER { exec bash tests/support/source-server.sh "$bin" "$server_dir" max_wal_size=8GB; }
        server=${SERVER[1]}
        read -r port <&"${SERVER[0]}"
        export PGHOST=127.0.0.1 PGPORT=$port PGUSER=owner PGPASSWORD=source-secret PGDATABASE=postgres
        # Random hexadecimal text, uncompressed: 8 KiB per row.
        for size in 32768:small 131072:large; do
            "$bin/psql" -qX -c "create database ${size#*:}"
            "$bin/psql" -qX "${size#*:}" -c "create table noise as select i, (select string_agg(md5(random()::text || i || j), '') from generate_series(1, 255) j) from generate_series(1, ${size%:*}) i"
            "$bin/pg_dump" -Fc -Z0 -f "$dir/upload-${size#*:}.new" "${size#*:}"
        done
        exec {server}>&-
        wait "$SERVER_PID" || true
        mv "$dir/upload-large.new" "$dir/upload-large.dump"
        mv "$dir/upload-small.new" "$dir/upload-small.dump"
    fi
    cargo build --release --locked --quiet
    SINK=$(cargo bench --locked --bench sink --no-run 2>&1 | sed -n 's/.*(\(target[^)]*\)).*/\1/p')
    export SINK
    isolated=(unshare --net)
    [ "$(id -u)" = 0 ] || isolated=(unshare --map-root-user --net)
    exec "${isolated[@]}" bash "$0" inside
fi

ip link set lo up
# Some systems allow `cubic` only in the initial namespace; without packet loss `reno` is equivalent.
sysctl -qw net.ipv4.tcp_congestion_control=cubic 2>/dev/null || sysctl -qw net.ipv4.tcp_congestion_control=reno
# Do not carry TCP metrics over from one upload to the next.
sysctl -qw net.ipv4.tcp_no_metrics_save=1
echo "congestion control: $(sysctl -n net.ipv4.tcp_congestion_control)"
work=$(mktemp -d)
exec 3< <(exec "$SINK" "$work/trusted.pem")
sink_pid=$!
read -r plain tls <&3
# A terminal, so that capydb draws its progress bar.
exec 5< <(exec script -qfc 'tty; exec sleep infinity' /dev/null </dev/null)
terminal_pid=$!
read -r terminal <&5
terminal=${terminal%$'\r'}
cat <&5 >/dev/null &
trap 'kill $sink_pid $terminal_pid 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
export SSL_CERT_FILE=$work/trusted.pem CAPYDB_API_KEY=capy_live_bench HOME=$work XDG_CONFIG_HOME=$work XDG_STATE_HOME=$work TERM=xterm
unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy CAPYDB_API_URL
tools=capydb
exec 4>&2 # stderr of timed commands is captured
if command -v rclone >/dev/null; then tools+=" rclone"; else echo "rclone is not installed; skipped" >&2; fi

# run TOOL KIND FILE: uploads a file to the sink; KIND is plain or tls.
run() {
    local url=http://127.0.0.1:$plain api=http://127.0.0.1:$plain/$2
    [ "$2" = plain ] || url=https://localhost:$tls
    case $1 in
    curl) curl -sS --cacert "$SSL_CERT_FILE" -T "$3" -o "$work/response" "$url/dump" ;;
    capydb) CAPYDB_API_URL=$api target/release/capydb import --file "$3" >"$work/output" 2>"$terminal" ;;
    rclone) rclone copyto --no-check-dest --ignore-times --retries 1 "$3" ":webdav,url='$url':dump" >"$work/output" 2>&1 ;;
    esac || { echo "$1 failed:" >&4; cat "$work"/output "$work"/time >&4; exit 1; }
}

median() { sort -n | awk '{ values[NR] = $1 } END { print values[int((NR + 1) / 2)] }'; }

# compare TITLE KIND FILE [IDEAL]: prints seconds and ratios to curl. Each tool is paired with
# curl separately, because the first upload after rclone is slower for any tool.
compare() {
    local tool
    cat "$3" >/dev/null # warm the page cache for all
    for tool in $tools; do compare_pair "$tool" "$@"; done
}

compare_pair() {
    local tool=$1 title=$2 kind=$3 file=$4 ideal=${5:-0} round current
    rm -f "$work"/times.*
    for ((round = -1; round <= rounds; round++)); do
        for current in $(((round % 2)) && echo "curl $tool" || echo "$tool curl"); do
            sleep 0.3 # let the previous upload's resources be released
            TIMEFORMAT='%R %U %S'
            { time run "$current" "$kind" "$file"; } 2>"$work/time"
            ((round < 1)) || awk '{ print $1, $2 + $3 }' "$work/time" >>"$work/times.$current" # the first two rounds are warm-up
        done
    done
    paste -d' ' "$work/times.$tool" "$work/times.curl" >"$work/pairs"
    awk -v t="$title" -v tool="$tool" -v ideal="$ideal" \
        -v wall="$(awk '{ print $1 }' "$work/pairs" | median)" -v cpu="$(awk '{ print $2 }' "$work/pairs" | median)" \
        -v curl_wall="$(awk '{ print $3 }' "$work/pairs" | median)" -v curl_cpu="$(awk '{ print $4 }' "$work/pairs" | median)" \
        -v w="$(awk '{ print $1 / $3 }' "$work/pairs" | median)" -v c="$(awk '{ print $2 / $4 }' "$work/pairs" | median)" 'BEGIN {
        printf "%-6s curl   wall %.3f s   CPU %.3f s", t, curl_wall, curl_cpu
        if (ideal) printf "   to the ideal %.3f", curl_wall / ideal
        printf "\n%-6s %s wall %.3f s   CPU %.3f s", t, tool, wall, cpu
        if (ideal) printf "   to the ideal %.3f", wall / ideal
        printf "\nupload %s %s/curl %.2f (CPU %.2f)\n", t, tool, w, c
    }'
}

# memory KIND FILE: prints the peak memory of an upload.
memory() {
    CAPYDB_API_URL=http://127.0.0.1:$plain/$1 target/release/capydb import -q --file "$2" >/dev/null &
    local pid=$! peak=0 current
    while current=$(awk '/VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null) && [ -n "$current" ]; do peak=$current; done
    wait "$pid"
    awk -v peak="$peak" -v kind="$1" 'BEGIN { printf "upload %s memory %.1f MiB\n", kind, peak / 1024 }'
}

large=$dir/upload-large.dump small=$dir/upload-small.dump
compare plain plain "$large"
compare tls tls "$large"
memory plain "$large"
memory tls "$large"
if tc qdisc add dev lo root tbf rate 1gbit burst 256kb limit 8mb 2>"$work/output"; then
    # The ideal time ignores the 40 bytes of headers in each packet.
    compare 1gbit tls "$small" "$(stat -c %s "$small" | awk '{ print $1 * 8 / 1e9 }')"
else
    echo "the 1 Gbit/s link is skipped: $(cat "$work/output")" >&2
fi

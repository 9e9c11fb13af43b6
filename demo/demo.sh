#!/usr/bin/env bash
# Demonstrates capydb on this machine: a Postgres 15 source with a sample database, a control plane,
# a preflight, and three imports of that database: from its URL, from a custom-format dump and from a
# plain SQL dump. Removes everything at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
capydb=$PWD/target/release/capydb

if [ "${1:-}" != inside ]; then
    # The control plane runs for the duration of the demo and fetches Postgres if necessary.
    exec "$capydb" dev --ephemeral -- bash demo/demo.sh inside
fi

# The source uses the installed Postgres 15, or else a downloaded copy.
bin=/usr/lib/postgresql/15/bin
if ! [ -x "$bin/initdb" ]; then
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/capydb
    [ "$(id -u)" != 0 ] || cache=/var/cache/capydb
    bin=$(bash src/server/postgres/fetch-debian.sh 15 "$cache/postgres/15")
fi
work=$(mktemp -d)
mkdir -m 755 "$work/server"
chmod 711 "$work"
coproc SERVER { exec tests/support/source-server.sh "$bin" "$work/server"; }
cleanup() {
    exec {SERVER[1]}>&- # the server stops when its standard input closes
    wait "$SERVER_PID" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
read -r port <&"${SERVER[0]}"
export PGPASSWORD=source-secret PGCONNECT_TIMEOUT=10
source="postgres://owner@127.0.0.1:$port/shop?sslmode=disable"
"$bin/psql" -Xq "postgres://owner@127.0.0.1:$port/postgres" -c 'create database shop'
"$bin/psql" -Xq -v ON_ERROR_STOP=1 "$source" -f demo/sample.sql -o /dev/null
export CAPYDB_SOURCE_URL="postgres://owner:$PGPASSWORD@127.0.0.1:$port/shop?sslmode=disable"

print_command() { printf '\n\033[1m$ %s\033[0m\n' "$*"; }
run() {
    print_command "capydb $*"
    "$capydb" "$@"
}
show_rows() {
    print_command 'psql "$DATABASE_URL" -f rows.sql'
    env -u PGPASSWORD "$bin/psql" -X "$("$capydb" projects url --direct)" <<'SQL'
select (select count(*) from shop.customer) as customers, (select count(*) from shop.product) as products,
       (select count(*) from shop."order") as orders, (select count(*) from shop.order_line) as lines,
       (select count(*) from "Reports & more".sales) as days, (select last_value from shop.invoice_number) as invoice;
SQL
}

echo "A Postgres $("$bin/postgres" --version | grep -o '[0-9][0-9.]*' | head -n 1) with a sample shop database is the source (its URL is in CAPYDB_SOURCE_URL)."
run import preflight
run import --recreate --wait
show_rows

print_command "pg_dump -Fc -f shop.dump"
"$bin/pg_dump" -Fc -f "$work/shop.dump" "$source"
run import --file "$work/shop.dump" --recreate --wait
show_rows

print_command "pg_dump -f shop.sql"
"$bin/pg_dump" -f "$work/shop.sql" "$source"
run import --file "$work/shop.sql" --recreate --wait
show_rows

printf '\nDemo complete: three imports with identical row counts.\n'

#!/bin/sh
# A throw-away Postgres server for tests: runs until standard input ends, then leaves nothing.
#
#   source-server.sh BIN FOLDER [SETTING…]
#
# BIN holds its programs; FOLDER is an empty folder, open to the user that the server runs as.
# The superuser is `owner` with the password `source-secret`. With server.crt and server.key
# in FOLDER it offers TLS. Prints its port once it is ready.
set -eu
bin=$1
folder=$2
shift 2
run=
if [ "$(id -u)" = 0 ]; then
    user=postgres
    id "$user" >/dev/null 2>&1 || user=nobody
    chown -R "$user" "$folder"
    run="setpriv --reuid=$user --regid=$(id -g $user) --clear-groups"
fi
cd "$folder"
unset LC_ALL LANG PGHOST PGPORT PGUSER PGDATABASE || true
echo source-secret >password
[ -z "$run" ] || chown "$user" password
$run "$bin/initdb" -D "$folder/data" -U owner -E UTF8 --locale=C.UTF-8 --no-sync -A scram-sha-256 \
    --pwfile="$folder/password" >"$folder/initdb.log" 2>&1 || { cat "$folder/initdb.log" >&2; exit 1; }
tls=off
if [ -f "$folder/server.key" ]; then
    mv "$folder/server.crt" "$folder/server.key" "$folder/data/"
    chmod 600 "$folder/data/server.key"
    tls=on
fi
stop() {
    $run "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$folder"
}
trap stop EXIT
settings="-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c ssl=$tls"
for setting in "$@"; do settings="$settings -c $setting"; done
for attempt in 1 2 3 4 5 6 7 8; do
    port=$((20000 + ($$ * 31 + attempt * 977) % 12000))
    if $run "$bin/pg_ctl" -D "$folder/data" -w -l "$folder/log" -o "-p $port $settings" start >/dev/null 2>&1; then
        echo "$port"
        cat >/dev/null
        exit 0
    fi
done
cat "$folder/log" >&2
exit 1

#!/bin/sh
# Runs a temporary Postgres server for tests until standard input ends, then removes its data.
#
#   source-server.sh BIN DIR [SETTING…]
#
# BIN is the directory of the Postgres programs. DIR is an empty directory that the server's user
# can reach. The superuser is `owner` with the password `source-secret`. If DIR contains server.crt
# and server.key, the server offers TLS. With the port of another such server in STANDBY_OF, it is a hot
# standby of that server. Prints the port when the server is ready.
set -eu
bin=$1
dir=$2
shift 2
as_user=
if [ "$(id -u)" = 0 ]; then
    user=postgres
    id "$user" >/dev/null 2>&1 || user=nobody
    chown -R "$user" "$dir"
    as_user="setpriv --reuid=$user --regid=$(id -g $user) --clear-groups"
fi
cd "$dir"
unset LC_ALL LANG PGHOST PGPORT PGUSER PGDATABASE || true
echo source-secret >password
[ -z "$as_user" ] || chown "$user" password
if [ -n "${STANDBY_OF-}" ]; then
    PGPASSWORD=source-secret $as_user "$bin/pg_basebackup" -h 127.0.0.1 -p "$STANDBY_OF" -U owner -D "$dir/data" \
        --write-recovery-conf --checkpoint=fast --no-sync
else
    $as_user "$bin/initdb" -D "$dir/data" -U owner -E UTF8 --locale=C.UTF-8 --no-sync -A scram-sha-256 \
    --pwfile="$dir/password" >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; exit 1; }
fi
tls=off
if [ -f "$dir/server.key" ]; then
    mv "$dir/server.crt" "$dir/server.key" "$dir/data/"
    chmod 600 "$dir/data/server.key"
    tls=on
fi
stop() {
    $as_user "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap stop EXIT
settings="-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c ssl=$tls"
for setting in "$@"; do settings="$settings -c $setting"; done
for attempt in 1 2 3 4 5 6 7 8; do
    port=$((20000 + ($$ * 31 + attempt * 977) % 12000))
    if $as_user "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/log" -o "-p $port $settings" start >/dev/null 2>&1; then
        echo "$port"
        cat >/dev/null # wait for the end of standard input
        exit 0
    fi
done
cat "$dir/log" >&2
exit 1

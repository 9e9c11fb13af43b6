#!/usr/bin/env bash
# Installs Schemathesis, the API fuzzer, into DIR unless it is up to date, and prints the program's
# path.
#
#   schemathesis.sh DIR
set -euo pipefail
requirements=$(cd "$(dirname "$0")" && pwd)/schemathesis.txt
dir=$1
if ! cmp -s "$requirements" "$dir/READY"; then
    python3 -m venv --clear "$dir" >&2
    "$dir/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements" >&2
    cp "$requirements" "$dir/READY"
fi
echo "$dir/bin/st"

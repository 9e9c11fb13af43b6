#!/usr/bin/env bash
# Installs the schema fuzzer into a folder of its own, once, and prints the path of its program.
#   schemathesis.sh FOLDER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
program=$folder/bin/st
if ! cmp -s "$here/schemathesis.txt" "$folder/READY"; then
    python3 -m venv --clear "$folder" >&2
    "$folder/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/schemathesis.txt" >&2
    cp "$here/schemathesis.txt" "$folder/READY"
fi
echo "$program"

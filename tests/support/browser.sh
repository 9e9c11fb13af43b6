#!/usr/bin/env bash
# Sees to it that there is a browser for the tests of the page, and an auditor of accessibility.
# Prints what could not be had; prints nothing when all is there.
#   browser.sh FOLDER      the folder for the auditor
set -euo pipefail
folder=$1
axe=4.14.1
if ! command -v chromedriver >/dev/null || ! command -v chromium >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        { apt-get update && apt-get install -y --no-install-recommends chromium chromium-driver; } >/dev/null 2>&1 || true
    fi
fi
if ! command -v chromedriver >/dev/null || ! command -v chromium >/dev/null; then
    echo "NOT TESTED: chromium and chromium-driver are not here, so the page is not tried in a browser"
    exit 0
fi
if [ ! -f "$folder/axe-$axe.js" ]; then
    mkdir -p "$folder"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    if (cd "$work" && npm pack --silent "axe-core@$axe" >/dev/null 2>&1 && tar -xzf ./*.tgz package/axe.min.js); then
        mv "$work/package/axe.min.js" "$folder/axe-$axe.js"
    else
        echo "NOT TESTED: axe-core could not be had from npm, so the page is not audited for accessibility"
    fi
fi

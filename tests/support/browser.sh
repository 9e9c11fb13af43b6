#!/usr/bin/env bash
# Installs Chromium for the web panel tests (only as root) and downloads axe-core, the accessibility
# checker, into DIR. Prints a line for each suite that cannot run.
#
#   browser.sh DIR
set -euo pipefail
dir=$1
axe_version=4.14.1
if ! command -v chromedriver >/dev/null || ! command -v chromium >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        { apt-get update && apt-get install -y --no-install-recommends chromium chromium-driver; } >/dev/null 2>&1 || true
    fi
fi
if ! command -v chromedriver >/dev/null || ! command -v chromium >/dev/null; then
    echo "NOT TESTED: browser: chromium and chromium-driver are not installed"
    exit 0
fi
if [ ! -f "$dir/axe-$axe_version.js" ]; then
    mkdir -p "$dir"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    if (cd "$work" && npm pack --silent "axe-core@$axe_version" >/dev/null 2>&1 && tar -xzf ./*.tgz package/axe.min.js); then
        mv "$work/package/axe.min.js" "$dir/axe-$axe_version.js"
    else
        echo "NOT TESTED: accessibility: cannot download axe-core with npm"
    fi
fi

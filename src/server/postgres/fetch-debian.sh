#!/usr/bin/env bash
# Downloads a complete, private Postgres (server, clients, contrib, pgvector, PostGIS)
# into a directory, from the Debian mirror that this machine already uses. Nothing is
# installed: the machine's packages and apt state are unchanged.
#
#   fetch-debian.sh MAJOR DIR       MAJOR is 15, 17 or 18; prints the directory of the programs
#
# Safe to repeat: a complete DIR is only checked, an incomplete one is created again, and
# one that was moved is fixed. Root is not needed.
set -euo pipefail
umask 022
shopt -s nullglob

note() { echo "postgres $major: $*" >&2; }
fail() { note "$*"; exit 1; }

[ $# -eq 2 ] || { echo "usage: fetch-debian.sh MAJOR DIR" >&2; exit 2; }
major=$1
# The Debian release that contains each major version.
case $major in
15) release=bookworm ;;
17) release=trixie ;;
18) release=forky ;;
*) fail "unsupported version; use 15, 17 or 18" ;;
esac
for program in apt-get apt-cache dpkg dpkg-deb tar flock ldd realpath; do
    type -P "$program" >/dev/null || fail "cannot find $program; this script works only on Debian"
done

mkdir -p "$2"
dir=$(realpath "$2")
programs=$dir/usr/lib/postgresql/$major/bin
ready=$dir/READY # line 1: directory of the libraries that the programs load; line 2: recipe number
recipe=1

exec 8>"$dir/.lock"
flock 8

programs_start() { "$programs/postgres" --version && "$programs/pg_restore" --version; } >/dev/null 2>&1

# Makes the programs use the downloaded loader and libraries, by an absolute loader path
# (the kernel requires that) and by RPATH. RUNPATH would not apply to the libraries that
# an extension's module loads later.
use_own_libraries() {
    local triplet loader file
    triplet=$(cd "$dir/usr/lib" && echo *-linux-gnu*/libc.so.6)
    triplet=${triplet%%/*}
    for file in "$dir/usr/lib/$triplet"/ld-linux*.so.*; do loader=$file; done
    for file in "$programs"/*; do
        "$loader" --library-path "$dir/usr/lib/$triplet" "$dir/usr/bin/patchelf" \
            --set-interpreter "$loader" \
            --force-rpath --set-rpath "\$ORIGIN/../../../$triplet" "$file"
    done
    printf '%s\n%s\n' "$dir" "$recipe" >"$ready.new"
}

if [ -f "$ready" ] && [ "$(sed -n 2p "$ready")" = "$recipe" ]; then
    if [ "$(sed -n 1p "$ready")" != "$dir" ]; then
        use_own_libraries
        mv "$ready.new" "$ready"
    fi
    if programs_start; then
        echo "$programs"
        exit 0
    fi
fi
for entry in "$dir"/*; do
    case ${entry##*/} in
    usr | bin | sbin | lib | lib64 | etc | var | apt | READY | READY.new) rm -rf "$entry" ;;
    *) fail "$dir contains other files (${entry##*/}); choose an empty directory" ;;
    esac
done

# apt with a separate state: the same mirror, keys and proxy settings, but another
# release, and no installed packages.
apt=$dir/apt
mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/none"
: >"$apt/installed"
apt_options=(
    -q -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/installed"
    -o Dir::Cache="$apt" -o Dir::Cache::archives="$apt/archives" -o Dir::Etc::sourcelist="$apt/source.list"
    -o Dir::Etc::sourceparts="$apt/none" -o Dir::Etc::preferences="$apt/none/x" -o Dir::Etc::preferencesparts="$apt/none"
    -o APT::Sandbox::User="$(id -un)" -o APT::Install-Recommends=false -o Acquire::Languages=none
    -o Acquire::Retries=3 -o APT::Update::Post-Invoke-Success::= -o APT::Default-Release=
    -o Debug::NoLocking=true
)
run_logged() { "$@" >>"$apt/log" 2>&1 || { tail -n 15 "$apt/log" >&2; return 1; }; }

mirror=$(apt-get indextargets --format '$(REPO_URI)|$(ORIGIN)|$(COMPONENT)|$(RELEASE)' 'Created-By: Packages' 2>/dev/null |
    awk -F'|' '$3 == "main" && $4 !~ /security/ && ($2 == "Debian" || $2 == "") { print $1; exit }')
[ -n "$mirror" ] || fail "no Debian mirror is configured in apt"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || fail "the package debian-archive-keyring is missing"
echo "deb [signed-by=$keyring] $mirror $release main" >"$apt/source.list"

note "reading the package index of Debian $release"
run_logged apt-get "${apt_options[@]}" update || fail "cannot read the package index of Debian $release"
packages=("postgresql-$major" patchelf)
for extra in "postgresql-$major-pgvector" "postgresql-$major-postgis-3"; do
    if [ -n "$(apt-cache "${apt_options[@]}" show "$extra" 2>/dev/null)" ]; then packages+=("$extra"); fi
done

# Packages that only JIT, raster and 3D geometry, Debian's cluster scripts or a minimal
# system need are declared as installed, which leaves about a third of the packages.
unneeded_libraries='llvm gdal sfcgal perl pam- db5'
unneeded='postgresql-common postgresql-client-common ssl-cert locales tzdata debconf sensible-utils adduser passwd
    procps openssl libc-bin libc-l10n netbase ucf systemd init-system-helpers sysvinit dpkg fonts- gnupg gpg
    pinentry readline-common'
alternatives() { echo $1 | tr ' ' '|'; }
pattern="^((lib)?($(alternatives "$unneeded_libraries"))|($(alternatives "$unneeded")))"
run_logged apt-get "${apt_options[@]}" install --simulate "${packages[@]}" || fail "Debian $release cannot resolve the packages"
arch=$(dpkg --print-architecture)
grep '^Inst ' "$apt/log" | awk '{ print $2 }' | grep -E "$pattern" | while read -r name; do
    printf 'Package: %s\nStatus: install ok installed\nVersion: 99999\nArchitecture: %s\n' "$name" "$arch"
    printf 'Multi-Arch: allowed\nMaintainer: nobody\nDescription: not needed here\n\n'
done >"$apt/installed"

note "downloading (about 60 MB)"
run_logged apt-get "${apt_options[@]}" install --download-only --yes "${packages[@]}" || fail "the download failed"

note "unpacking into $dir"
for directory in bin sbin lib lib64; do # a few packages still use the paths from before the /usr merge
    mkdir -p "$dir/usr/$directory"
    ln -s "usr/$directory" "$dir/$directory"
done
for archive in "$apt"/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$archive" | tar -x -C "$dir" --no-same-owner --keep-directory-symlink \
        --exclude='./usr/share/doc*' --exclude=./usr/share/man --exclude=./usr/share/locale \
        --exclude=./usr/share/lintian --exclude='*/bitcode' --exclude='*llvmjit*' \
        --exclude='*postgis_raster*' --exclude='*postgis_sfcgal*'
done
# Debian's alternatives system would create these links to the control files of PostGIS.
# PROJ looks for its database in a share directory next to that of the library.
for control in "$dir/usr/share/postgresql/$major/extension"/*-3.control; do
    ln -sf "${control##*/}" "${control%-3.control}.control"
done
ln -sfn ../share "$dir/usr/lib/share"

use_own_libraries
programs_start || fail "the unpacked programs do not start: $("$programs/postgres" --version 2>&1 | tail -n 1)"
for program in "$programs"/*; do
    foreign=$(ldd "$program" | awk '/=> \// && $1 !~ /ld-linux/ { print $3 }' | grep -v "^$dir/") || continue
    fail "$program would load $foreign from the machine"
done
chmod -R a+rX "$dir/usr"
rm -rf "$apt"
mv "$ready.new" "$ready"
note "ready: $("$programs/postgres" --version)"
echo "$programs"

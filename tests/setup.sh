#!/usr/bin/env bash
# What only the tests need: a connection pooler. It is unpacked into a folder of the project, because
# installing the package would start it on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."

pooler=.tools/pgbouncer
if [ -x $pooler/usr/sbin/pgbouncer ] || [ -x /usr/sbin/pgbouncer ]; then exit 0; fi
echo "setup: unpacking pgbouncer into $pooler"
rm -rf $pooler.new && mkdir -p $pooler.new/packages
log=$(mktemp)

fetch() { # download pgbouncer and those of its libraries that this machine lacks
    local packages
    mapfile -t packages < <(apt-get install --simulate --no-install-recommends pgbouncer 2>>"$log" |
        awk '/^Inst/ {print $2}')
    [ ${#packages[@]} -gt 0 ] && (cd $pooler.new/packages && apt-get download "${packages[@]}") >>"$log" 2>&1
}

if ! fetch; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "Update the list of packages, then run this again: sudo apt-get update" >&2
        exit 1
    fi
    if ! { apt-get update >>"$log" 2>&1 && fetch; }; then
        tail -n 20 "$log" >&2
        exit 1
    fi
fi
rm -f "$log"
for package in $pooler.new/packages/*.deb; do dpkg --extract "$package" $pooler.new; done
rm -rf $pooler && mv $pooler.new $pooler

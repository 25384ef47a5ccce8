#!/usr/bin/env bash
# What only the tests need: a connection pooler. It is unpacked into a folder of the project, because
# installing the package would start it on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."

pooler=.tools/pgbouncer
if [ -x $pooler/usr/sbin/pgbouncer ] || [ -x /usr/sbin/pgbouncer ]; then exit 0; fi
echo "setup: unpacking pgbouncer into $pooler"
missing() { apt-get install --simulate --no-install-recommends pgbouncer 2>/dev/null | awk '/^Inst/ {print $2}'; }
if [ -z "$(missing)" ] && [ "$(id -u)" -eq 0 ]; then apt-get update >/dev/null; fi
mapfile -t packages < <(missing)
if [ ${#packages[@]} -eq 0 ]; then
    echo "Update the list of packages first, then run this again: sudo apt-get update" >&2
    exit 1
fi
rm -rf $pooler.new && mkdir -p $pooler.new/packages
(cd $pooler.new/packages && apt-get download -q "${packages[@]}" >/dev/null 2>&1)
for package in $pooler.new/packages/*.deb; do dpkg --extract "$package" $pooler.new; done
rm -rf $pooler && mv $pooler.new $pooler

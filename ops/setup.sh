#!/usr/bin/env bash
# Everything a fresh Debian machine needs, each step skipped when it is done already.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=()
want() { # want COMMAND PACKAGE...: install the packages when the command is not there
    local command=$1
    shift
    command -v "$command" >/dev/null || packages+=("$@")
}

want chromium chromium
want chromedriver chromium-driver
python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)

if [ ${#packages[@]} -gt 0 ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "Install these packages first, then run this again:" >&2
        echo "  sudo apt-get install --no-install-recommends ${packages[*]}" >&2
        exit 1
    fi
    echo "setup: installing ${packages[*]}"
    log=$(mktemp)
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
        --no-install-recommends "${packages[@]}"; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        exit 1
    fi
    rm -f "$log"
fi

python3 - <<'VERSION'
import sys
if sys.version_info < (3, 11):
    sys.exit(f"Quarry needs Python 3.11 or newer, python3 is {sys.version.split()[0]}")
VERSION

install() { # install VENV REQUIREMENTS: make the virtual environment hold exactly the lock file
    local venv=$1 requirements=$2
    local stamp=$venv/.installed wanted
    wanted=$(sha256sum "$requirements" | cut -d' ' -f1)
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
    echo "setup: installing $requirements into $venv"
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    [ -x "$uv" ] || "$venv/bin/pip" install --quiet --disable-pip-version-check \
        --require-hashes -r requirements/uv.txt
    "$uv" pip sync --quiet --python "$venv/bin/python" --require-hashes "$requirements"
    echo "$wanted" >"$stamp"
}

uv=.venv/bin/uv
install .venv requirements/dev.txt
install .venv-emulator requirements/emulator.txt

# The folders of the project are the packages: put the root on the path, and `quarry` beside python.
site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$PWD" >"$site/quarry.pth"
ln -sfn ../../quarry .venv/bin/quarry

#!/usr/bin/env bash
# Lock files are hash-pinned requirements without index addresses; uv.lock itself stays out of git.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH

uv lock --quiet
export_to() { # export_to FILE ARGUMENTS...
    local file=$1
    shift
    uv export --quiet --frozen --no-emit-workspace --no-header --no-annotate \
        --format requirements.txt "$@" --output-file "requirements/$file" >/dev/null
}
export_to dev.txt
for service in generator collector processor loader; do
    export_to "$service.txt" --no-dev --package "quarry-$service"
done
grep -A 99 '^uv==' requirements/dev.txt | awk 'NR>1 && !/^ /{exit} {print}' >requirements/uv.txt
uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
    --python-version 3.11 requirements/emulator.in --output-file requirements/emulator.txt
uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
    --python-version 3.11 requirements/peers.in --output-file requirements/peers.txt

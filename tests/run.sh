#!/usr/bin/env bash
# Every test. The folders whose tests mostly wait for processes come first, so that the short ones fill
# the gaps; three workers keep two cores busy.
set -euo pipefail
cd "$(dirname "$0")/.."
exec pytest -n 3 --dist loadfile \
    tests/pipeline tests/integration tests/browser tests/infra tests/contracts tests/architecture tests/unit "$@"

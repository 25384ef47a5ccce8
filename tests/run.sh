#!/usr/bin/env bash
# Every test. Quick folders first, so that a mistake shows early; the stack's own tests last.
set -euo pipefail
cd "$(dirname "$0")/.."
exec pytest -n 2 --dist loadfile tests "$@"

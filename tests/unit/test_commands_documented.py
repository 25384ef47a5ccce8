"""Every command and option is in docs/operations.md, on the command's own line."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from ops.cli import build_app

TEXT = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
FILTER = set(re.findall(r"--\w+", TEXT.split("FILTER is any of", 1)[1].split(";", 1)[0]))


def commands(command: object, path: str) -> Iterator[tuple[str, set[str]]]:
    below = getattr(command, "commands", {})
    for name, one in below.items():
        yield from commands(one, f"{path} {name}")
    if not below:
        parameters = getattr(command, "params", [])
        words = {word for one in parameters for word in (*one.opts, *one.secondary_opts)}
        yield path, {word for word in words if word.startswith("--")}


def every_command() -> dict[str, set[str]]:
    return dict(commands(get_command(build_app()), "quarry"))


def documented(path: str) -> set[str]:
    lines = re.findall(rf"^{path}(?: .*)?$", TEXT.split("## Every command", 1)[1], re.MULTILINE)
    assert len(lines) == 1, f"{path} has {len(lines)} lines in docs/operations.md"
    found = set(re.findall(r"--[\w-]+", lines[0]))
    return found | FILTER if "FILTER" in lines[0] else found


@pytest.mark.parametrize("path", sorted(every_command()))
def test_a_command_is_documented_with_all_its_options_and_no_others(path: str) -> None:
    assert documented(path) == every_command()[path]


def test_no_command_is_documented_that_does_not_exist() -> None:
    block = TEXT.split("## Every command", 1)[1].split("```")[1]
    names = [re.split(r"\s+(?:-|\[|[A-Z])|\s*$", line)[0] for line in block.strip().splitlines()]
    assert {" ".join(name.split()) for name in names} == set(every_command())

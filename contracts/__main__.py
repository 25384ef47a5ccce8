"""The contracts' command line. The only module of `contracts/` that reads and writes anything."""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from difflib import unified_diff
from pathlib import Path
from typing import IO

from contracts.compat import Release, check
from contracts.export import published_files, published_schemas
from contracts.reading import Reading, read

_PACKAGE = Path(__file__).parent
_SCHEMAS = "contracts/schemas"
_EXAMPLES = "contracts/examples"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 means nothing stands against it."""
    parser = argparse.ArgumentParser(prog="python -m contracts", description="Quarry's contracts.")
    commands = parser.add_subparsers(dest="command", required=True)
    export = commands.add_parser("export", help="write contracts/schemas from the models")
    export.add_argument("--check", action="store_true", help="compare, write nothing")
    checking = commands.add_parser("check", help="would this tree break what is in flight?")
    checking.add_argument("--against", metavar="REV", required=True, help="a git revision")
    commands.add_parser("read", help="read bodies as today's readers do: JSON lines [type, body]")
    chosen = parser.parse_args(arguments)
    if chosen.command == "export":
        return _export(write=not chosen.check)
    if chosen.command == "check":
        return _check(_PACKAGE.parent, chosen.against)
    for line in sys.stdin:
        print(json.dumps(asdict(read(*json.loads(line)))))  # noqa: T201  # the command's answer
    return 0


def _export(*, write: bool) -> int:
    folder = _PACKAGE.parent / _SCHEMAS
    fresh = published_files()
    committed = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    if write:
        folder.mkdir(exist_ok=True)
        for name, text in fresh.items():
            (folder / name).write_text(text, encoding="utf-8")
        for name in committed.keys() - fresh.keys():
            (folder / name).unlink()
        return 0
    stale = "".join(
        line
        for name in sorted(committed.keys() | fresh.keys())
        for line in unified_diff(
            committed.get(name, "").splitlines(keepends=True),
            fresh.get(name, "").splitlines(keepends=True),
            fromfile=f"{_SCHEMAS}/{name}",
            tofile=f"{name} as the models say",
        )
    )
    if stale:
        sys.stdout.write(f"{stale}\nRun `python -m contracts export` and commit {_SCHEMAS}.\n")
    return 1 if stale else 0


def _check(root: Path, revision: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder)
        _unpack(root, revision, before)
        if not (before / _SCHEMAS).is_dir():
            print(f"contracts: {revision} publishes no schemas yet; nothing was promised")  # noqa: T201  # the command's answer
            return 0
        schemas = {
            path.stem: json.loads(path.read_text(encoding="utf-8"))
            for path in (before / _SCHEMAS).glob("*.v*.json")
        }
        with _reader_of(before) as read_there:
            old = Release(schemas, read_there, _golden(before))
            new = Release(published_schemas(), _read_here, _golden(root))
            findings = check(old, new)
    for finding in findings:
        print(f"{finding.verdict.upper().replace('_', ' ')}: {finding.sentence}")  # noqa: T201  # the command's answer
    breaking = sum(finding.verdict == "breaks" for finding in findings)
    print(  # noqa: T201  # the command's answer
        f"contracts: {len(old.schemas)} schemas and {len(old.golden)} golden messages of "
        f"{revision} compared: {breaking} would break"
    )
    return 1 if breaking else 0


def _unpack(root: Path, revision: str, folder: Path) -> None:
    """Write `contracts/` as it was at `revision` into `folder`; exits with git's own words."""
    archive = subprocess.run(  # noqa: S603  # no shell; git itself checks the revision
        ["git", "-C", str(root), "archive", "--format=zip", revision, "contracts"],  # noqa: S607  # the machine's git
        capture_output=True,
        check=False,
    )
    if archive.returncode:
        sys.exit(f"contracts: {archive.stderr.decode().strip()}")
    with zipfile.ZipFile(io.BytesIO(archive.stdout)) as packed:
        packed.extractall(folder)


def _golden(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text(encoding="utf-8")
        for path in sorted((root / _EXAMPLES).glob("*.json"))
    }


def _read_here(bodies: Sequence[tuple[str, str]]) -> list[Reading]:
    return [read(type_name, body) for type_name, body in bodies]


@contextmanager
def _reader_of(tree: Path) -> Iterator[Callable[[Sequence[tuple[str, str]]], list[Reading]]]:
    """Let the code of another tree read, in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "contracts", "read"],
        cwd=tree,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        pipes = process.stdin, process.stdout

        def read_there(bodies: Sequence[tuple[str, str]]) -> list[Reading]:
            return [_ask(*pipes, body) for body in bodies]

        yield read_there


def _ask(question: IO[str] | None, answer: IO[str] | None, body: tuple[str, str]) -> Reading:
    # One at a time, so that neither side waits for the other to empty a full pipe.
    if question is None or answer is None:
        raise ValueError("the process was started without pipes")
    question.write(json.dumps(body) + "\n")
    question.flush()
    line = answer.readline()
    if not line:
        raise ValueError(f"the code of the other revision ended while reading {body[1]}")
    return Reading(**json.loads(line))


if __name__ == "__main__":
    sys.exit(main())

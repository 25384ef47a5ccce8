"""The whole local stack for tests: every process, as `quarry up` starts them."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).parents[1]
SMALL_QUARTER_BANKS = 200
_PASSED_ON = ("PATH", "HOME", "LANG", "QUARRY_DATA")


@dataclass(frozen=True)
class QuarryCommand:
    """The `quarry` command with a home of its own."""

    home: Path

    def run(self, *arguments: str, seconds: float = 240) -> subprocess.CompletedProcess[str]:
        """Run a command and return what it printed, whatever its exit code."""
        kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return subprocess.run(  # noqa: S603  # our own command
            [ROOT / "quarry", *arguments],
            env={**kept, "QUARRY_HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def ok(self, *arguments: str, seconds: float = 240) -> str:
        """Run a command that must work and return its standard output."""
        finished = self.run(*arguments, seconds=seconds)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    def document(self, *arguments: str, seconds: float = 240) -> Any:
        """Run a command that prints JSON."""
        return json.loads(self.ok(*arguments, "--json", seconds=seconds))

    def processes(self) -> list[psutil.Process]:
        """Return every live process of this stack, browsers and PostgreSQL included."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("QUARRY_STACK_HOME") == str(self.home)
                named = str(self.home) in " ".join(process.cmdline())
                if (ours or named) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found


@contextmanager
def quarry_home() -> Iterator[QuarryCommand]:
    """Yield a command with a new home; its stack, if it was started, ends with the block.

    Not in pytest's folder: every pytest that starts closes that to PostgreSQL's unprivileged user.
    """
    with tempfile.TemporaryDirectory(prefix="quarry-test-") as folder:
        Path(folder).chmod(0o711)
        quarry = QuarryCommand(Path(folder) / "home")
        try:
            yield quarry
        finally:
            stopped = quarry.run("down")
        assert stopped.returncode == 0, stopped.stderr


@pytest.fixture(scope="session")
def stack() -> Iterator[QuarryCommand]:
    """A running stack that serves small generated quarters, one per session."""
    with quarry_home() as quarry:
        quarry.ok("up", "--banks", str(SMALL_QUARTER_BANKS))
        yield quarry

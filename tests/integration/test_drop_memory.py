"""A dropped file passes through in parts: six times the file takes no more memory.

Each stage runs in a process of its own and tells how much its peak grew. The sizes are small so
that this is quick; `python -m tests.memory_of_drop` does the same with a file of any size, and for
the loader, whose batches grow until they are as large as they get.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.sources.hires import make_up

ROOT = Path(__file__).parents[2]
_SMALL_ROWS, _TIMES = 60_000, 6
# The large file as text has 16 MB; as Python's or polars' rows, all at once, several times that.
_MORE_BYTES = 16 * 1024 * 1024


def grown(stage: str, folder: Path) -> int:
    finished = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-m", "tests.memory_of_drop", stage, str(folder)],
        cwd=ROOT,
        # Otherwise what glibc keeps for each thread is counted, which differs from run to run.
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return int(finished.stdout)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder with a file, and one with six times as many rows."""
    small, large = tmp_path_factory.mktemp("small"), tmp_path_factory.mktemp("large")
    make_up(small, "comma", _SMALL_ROWS)
    rows = (small / "hired_employees.csv").read_bytes()
    (large / "hired_employees.csv").write_bytes(rows * _TIMES)
    return small, large


@pytest.mark.parametrize("stage", ["check", "clean"])
def test_a_larger_file_takes_no_more_memory(folders: tuple[Path, Path], stage: str) -> None:
    small, large = (grown(stage, folder) for folder in folders)
    assert large - small < _MORE_BYTES

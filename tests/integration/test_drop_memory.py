"""A dropped file passes through in parts: six times the file takes hardly more memory.

Each stage runs in a process of its own and tells how much its peak grew. The sizes are small so
that this is quick; `python -m tests.memory_of_drop` does the same with a file of any size.
"""

import os
import subprocess
import sys
from pathlib import Path

from ops.sources.hires import make_up

ROOT = Path(__file__).parents[2]
_SMALL_ROWS, _TIMES = 100_000, 6
# The large file has 27 MB of text. All its rows at once are 400 MB of Python's strings, or 70 MB of
# Arrow and as much again encoded for COPY.
_MORE_BYTES = {"check": 32 * 1024**2, "clean": 32 * 1024**2, "load": 64 * 1024**2}


def grown(stage: str, folder: Path, *url: str) -> int:
    finished = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-m", "tests.memory_of_drop", stage, str(folder), *url],
        cwd=ROOT,
        # Otherwise what glibc keeps for each thread is counted, which differs from run to run.
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return int(finished.stdout)


def test_a_larger_file_takes_no_more_memory_in_any_service(
    tmp_path: Path, database_url: str
) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.mkdir()
    large.mkdir()
    make_up(small, "comma", _SMALL_ROWS)
    rows = (small / "hired_employees.csv").read_bytes()
    (large / "hired_employees.csv").write_bytes(rows * _TIMES)

    more = {}
    for stage in _MORE_BYTES:
        url = [database_url] if stage == "load" else []
        needed = [grown(stage, folder, *url) for folder in (small, large)]
        more[stage] = needed[1] - needed[0]
    assert {stage: more[stage] for stage in more if more[stage] > _MORE_BYTES[stage]} == {}

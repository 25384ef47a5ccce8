import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.leftovers import folder_prefix, sweep


def made(folder: Path, name: str) -> Path:
    path = folder / name
    path.mkdir()
    (path / "file").touch()
    return path


@pytest.fixture
def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_folders_of_ended_processes_are_deleted(tmp_path: Path, dead: int) -> None:
    purposes = ("browser", "collect", "extract", "packets")
    left = [made(tmp_path, f"quarry-{what}-{dead}-x1") for what in purposes]
    assert sweep(tmp_path) == 4
    assert not any(path.exists() for path in left)


def test_folders_of_running_processes_are_kept(tmp_path: Path) -> None:
    kept = made(tmp_path, f"quarry-browser-{os.getppid()}-x1")
    assert sweep(tmp_path) == 0
    assert kept.exists()


def test_a_folder_of_a_process_that_had_our_number_before_us_is_deleted(tmp_path: Path) -> None:
    left = made(tmp_path, folder_prefix("collect") + "x1")
    assert sweep(tmp_path) == 1
    assert not left.exists()


def test_what_is_not_ours_is_kept(tmp_path: Path, dead: int) -> None:
    names = [f"quarry-{dead}-x", f"other-browser-{dead}-x", "quarry-browser-x"]
    kept = [made(tmp_path, name) for name in names]
    assert sweep(tmp_path) == 0
    assert all(path.exists() for path in kept)

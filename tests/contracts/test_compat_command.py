"""The gate as CI runs it: on a git repository, against a revision."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of its own that holds `contracts/` as committed revision `HEAD`."""
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "contracts", tmp_path / "contracts", ignore=without)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "contracts")
    git(tmp_path, "commit", "--quiet", "--message", "As released")
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True)  # noqa: S603, S607  # fixed words


def contracts(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # this interpreter, fixed words
        [sys.executable, "-m", "contracts", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_an_unchanged_tree_passes(repository: Path) -> None:
    finished = contracts(repository, "check", "--against", "HEAD")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "0 would break" in finished.stdout


def test_a_breaking_edit_is_refused_with_the_reader_that_would_break(repository: Path) -> None:
    edit(
        repository / "contracts" / "messages.py",
        'rows: int = Field(ge=0, description="Rows in the Parquet object."',
        'rows: int = Field(ge=1, description="Rows in the Parquet object."',
    )
    finished = contracts(repository, "check", "--against", "HEAD")
    assert finished.returncode == 1
    assert "payload.rows has the minimum 1, it had 0. The loader would refuse" in finished.stdout


def test_an_edit_that_no_schema_shows_is_refused_too(repository: Path) -> None:
    edit(
        repository / "contracts" / "period.py",
        "        return cls(int(text[:4]), int(text[5]))",
        "        if int(text[:4]) > 2050:\n"
        '            raise ValueError("too far ahead")\n'
        "        return cls(int(text[:4]), int(text[5]))",
    )
    finished = contracts(repository, "check", "--against", "HEAD")
    assert finished.returncode == 1
    assert "too far ahead" in finished.stdout


def test_an_unknown_revision_is_said_in_gits_words(repository: Path) -> None:
    finished = contracts(repository, "check", "--against", "nowhere")
    assert finished.returncode == 1
    assert "nowhere" in finished.stderr


def test_a_revision_before_any_schema_promised_nothing(repository: Path) -> None:
    git(repository, "rm", "-r", "--quiet", "contracts/schemas")
    git(repository, "commit", "--quiet", "--message", "Before")
    contracts(repository, "export")
    finished = contracts(repository, "check", "--against", "HEAD")
    assert finished.returncode == 0
    assert "nothing was promised" in finished.stdout


def test_a_stale_export_is_shown_line_by_line(repository: Path) -> None:
    edit(repository / "contracts" / "schemas" / "LoadTable.v1.json", '"minimum": 0', '"minimum": 5')
    finished = contracts(repository, "export", "--check")
    assert finished.returncode == 1
    assert '-          "minimum": 5' in finished.stdout
    assert contracts(repository, "export").returncode == 0
    assert contracts(repository, "export", "--check").returncode == 0

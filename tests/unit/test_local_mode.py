import os
from pathlib import Path

import pytest

from services.loader.main import open_loader
from shared.errors import InvalidRequest
from shared.local_mode import read_env_file

ENV_FILE = """# the database at hand
DATABASE_URL="postgresql://me:se=cret@127.0.0.1/quarry"
QUARRY_TEST_GIVEN=from the file
QUARRY_TEST_NEW='two words'
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an `.env`; what a test sets in the environment ends with it."""
    (tmp_path / ".env").write_text(ENV_FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUARRY_TEST_GIVEN", "from the environment")
    for name in ("DATABASE_URL", "QUARRY_TEST_NEW", "LOCAL_MODE"):
        monkeypatch.setenv(name, "")  # so that it is put back whatever the code does
        monkeypatch.delenv(name)
    return tmp_path


def test_in_local_mode_the_file_says_what_the_environment_does_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_MODE", "true")
    assert read_env_file() == 2, folder
    assert os.environ["DATABASE_URL"] == "postgresql://me:se=cret@127.0.0.1/quarry"
    assert os.environ["QUARRY_TEST_NEW"] == "two words"
    assert os.environ["QUARRY_TEST_GIVEN"] == "from the environment"


def test_without_local_mode_the_file_is_not_read(folder: Path) -> None:
    assert read_env_file() == 0, folder
    assert "DATABASE_URL" not in os.environ


def test_a_missing_file_is_no_failure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_MODE", "TRUE")
    (folder / ".env").unlink()
    assert read_env_file() == 0


def test_a_local_mode_that_is_neither_on_nor_off_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_MODE", "maybe")
    with pytest.raises(InvalidRequest, match="LOCAL_MODE is 'maybe'; set it to true or false"):
        read_env_file(folder / ".env")


async def test_in_local_mode_the_loader_never_asks_for_a_secret(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").unlink()
    settings = ("ENV", "BUCKET", "BUS", "RUNS_TABLE", "QUEUE_URL", "DLQ_URL", "DATABASE_SECRET")
    for name in settings:
        monkeypatch.setenv(f"QUARRY_{name}", "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("LOCAL_MODE", "true")
    with pytest.raises(InvalidRequest, match=r"set DATABASE_URL in the environment or in \.env"):
        async with open_loader():
            pass

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.errors import CommandFailed
from ops.stack.home import Home, PartRecord, StackState


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_a_new_home_holds_an_empty_state(home: Home) -> None:
    assert home.read() == StackState()


def test_what_is_written_is_read_again(home: Home) -> None:
    record = PartRecord(pid=7, port=4566, started_at=datetime.now(UTC), fingerprint="abc")
    state = StackState(parts={"emulator": record}, ports={"emulator": 4566}, zips=Path("/zips"))
    with home.locked():
        home.write(state)
    assert home.read() == state


def test_a_damaged_state_file_counts_as_none(home: Home) -> None:
    with home.locked():
        (home.path / "state.json").write_text('{"parts": {"emul')
    assert home.read() == StackState()


def test_a_state_that_was_not_written_to_its_end_leaves_the_old_one(home: Home) -> None:
    state = StackState(ports={"portal": 8000})
    with home.locked():
        home.write(state)
        (home.path / "state.json.new").write_text('{"ports": {"por')
    assert home.read() == state


def test_two_commands_never_work_on_one_home_at_a_time(home: Home) -> None:
    with home.locked(), pytest.raises(CommandFailed, match="another quarry"), home.locked():
        pass


def test_the_lock_is_free_again_after_a_failure(home: Home) -> None:
    with pytest.raises(RuntimeError), home.locked():
        raise RuntimeError
    with home.locked():
        pass

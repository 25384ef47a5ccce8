import signal
from collections.abc import Iterator

import psutil
import pytest

from ops.stack.home import PARTS
from tests.stack_fixture import QuarryCommand, quarry_home


@pytest.fixture(scope="module")
def own_stack() -> Iterator[QuarryCommand]:
    """A stack that tests may hurt; each leaves it running."""
    with quarry_home() as quarry:
        quarry.ok("up", "--banks", "50")
        yield quarry


def parts(quarry: QuarryCommand) -> dict[str, dict[str, int | str]]:
    found: dict[str, dict[str, int | str]] = quarry.document("status")["parts"]
    return found


def kill(quarry: QuarryCommand, part: str) -> int:
    pid = int(parts(quarry)[part]["pid"])
    process = psutil.Process(pid)
    process.send_signal(signal.SIGKILL)
    psutil.wait_procs([process], timeout=5)
    return pid


def test_every_part_runs_after_up(own_stack: QuarryCommand) -> None:
    status = own_stack.document("status")
    assert {name: part["state"] for name, part in status["parts"].items()} == dict.fromkeys(
        PARTS, "running"
    )
    assert status["queues_reachable"]
    assert status["database_reachable"]


def test_a_second_up_changes_nothing_and_says_so(own_stack: QuarryCommand) -> None:
    before = parts(own_stack)
    assert "already running" in own_stack.ok("up")
    after = parts(own_stack)
    assert {name: part["pid"] for name, part in after.items()} == {
        name: part["pid"] for name, part in before.items()
    }


def test_every_listening_part_listens_on_this_machine_only(own_stack: QuarryCommand) -> None:
    addresses = {
        connection.laddr.ip
        for process in own_stack.processes()
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


def test_no_process_shows_a_password_in_its_command_line(own_stack: QuarryCommand) -> None:
    password = (own_stack.home / "data" / "postgres" / "password").read_text()
    commands = [" ".join(process.cmdline()) for process in own_stack.processes()]
    assert [command for command in commands if password in command] == []


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_part_is_seen_and_comes_back_on_its_port(
    own_stack: QuarryCommand, part: str
) -> None:
    port = parts(own_stack)[part]["port"]
    killed = kill(own_stack, part)
    assert parts(own_stack)[part]["state"] == "dead"

    said = own_stack.run("up")

    assert said.returncode == 0, said.stderr
    assert f"{part}: was dead (process {killed}), starting it again" in said.stderr
    back = parts(own_stack)[part]
    assert (back["state"], back["port"]) == ("running", port)


def test_messages_and_run_status_outlive_a_killed_emulator(own_stack: QuarryCommand) -> None:
    own_stack.run("send", "--from", "2013Q4", "--to", "2013Q1", "--wait")  # parked as senseless
    parked = own_stack.document("status")["queues"]["generator"]["parked"]
    assert parked > 0

    kill(own_stack, "emulator")
    own_stack.ok("up")

    assert own_stack.document("status")["queues"]["generator"]["parked"] == parked


def test_a_lost_queue_is_made_again_and_told(own_stack: QuarryCommand) -> None:
    kill(own_stack, "emulator")
    (own_stack.home / "data" / "emulator" / "sqs.json").unlink()

    said = own_stack.run("up")

    assert said.returncode == 0, said.stderr
    assert "quarry-local-collector was gone and was made again; what it held is lost" in said.stderr
    assert own_stack.document("status")["queues_reachable"]


def test_a_request_that_makes_no_sense_ends_the_waiting_with_its_reason(
    own_stack: QuarryCommand,
) -> None:
    finished = own_stack.run("send", "--from", "2013Q4", "--to", "2013Q1", "--wait")
    assert finished.returncode == 1
    assert "start 2013Q4 is after end 2013Q1" in finished.stderr


def test_sql_that_is_wrong_is_one_sentence(own_stack: QuarryCommand) -> None:
    finished = own_stack.run("sql", "select no_such_column")
    assert finished.returncode == 1
    assert "no_such_column" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_sql_prints_csv_for_other_programs(own_stack: QuarryCommand) -> None:
    assert own_stack.ok("sql", "--csv", "select 1 as one, null as nothing") == "one,nothing\n1,\n"


def test_down_leaves_no_process_and_up_brings_rows_and_ports_back(
    own_stack: QuarryCommand,
) -> None:
    own_stack.ok("sql", "create table kept as select 42 as answer")
    ports = {name: part["port"] for name, part in parts(own_stack).items()}
    kill(own_stack, "collector")  # what it leaves behind has to go, too

    own_stack.ok("down")

    assert own_stack.processes() == []
    assert own_stack.ok("down") == "not running\n"
    own_stack.ok("up", "--banks", "50")
    assert {name: part["port"] for name, part in parts(own_stack).items()} == ports
    assert own_stack.ok("sql", "--csv", "select answer from kept") == "answer\n42\n"

"""kill -9 in the middle of a replay, at every step, and the replay taken up again."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from contracts import Period
from infra.names import SERVICES
from ops.dlq.journal import Journal
from ops.dlq.store import open_database
from tests.dlq_bench import Queues, work_through
from tests.parked import NAMES, Parked, collect, load, park, parked_messages, why

ROOT = Path(__file__).parents[2]
SIGKILL = 9
# Longer than a lease: what died while receiving holds messages that no receipt is known of.
_SECONDS = 20


class Victim:
    """A process that replays, and dies when told to."""

    def __init__(self, endpoint: str) -> None:
        self.process = subprocess.Popen(  # noqa: S603  # this interpreter, our module
            [sys.executable, "-m", "tests.replay_victim", endpoint],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, folder: Path, step: int = 0) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"run {folder} {step}\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def run_to_the_end(self, folder: Path) -> None:
        deadline = monotonic() + _SECONDS
        while True:
            self.run(folder)
            if not unfinished(folder):
                return
            assert monotonic() < deadline, "the replay does not end"


@pytest.fixture(scope="module")
def victim(emulator_url: str) -> Iterator[Victim]:
    made = Victim(emulator_url)
    yield made
    made.process.communicate()  # closes its input, which ends it


@pytest.fixture
def queues(emulator_url: str) -> Queues:
    found = Queues.at(emulator_url)
    found.empty()
    return found


def unfinished(folder: Path) -> int:
    connection = open_database(folder / f"dlq-local-{NAMES.account}.sqlite")
    try:
        return len(Journal(connection).unfinished())
    finally:
        connection.close()


def five_messages() -> list[Parked]:
    """Two for standard queues, one of them bare; two of one table, one of another for FIFO."""
    request = '{"dataset": "call_reports", "start_year": 2013, "start_quarter": 1}'
    quarters = list(Period(2013, 1).through(Period(2013, 2)))
    group = "call_reports.rc"
    return [
        Parked("generator", request),
        Parked("collector", collect(quarters[0])),
        *(
            Parked("loader", load(quarter), why("loader", "E", "r", n, group), group)
            for n, quarter in enumerate(quarters)
        ),
        Parked("loader", load(quarters[0], "rcb"), group="call_reports.rcb"),
    ]


def bodies(queues: Queues, service: Any) -> list[str]:
    return [message["Body"] for message in queues.drain(service)]


def test_killed_at_every_step_a_replay_loses_nothing_and_doubles_nothing(
    victim: Victim, queues: Queues, tmp_path: Path, emulator_url: str
) -> None:
    messages = five_messages()
    park(queues.sqs, messages)
    untouched = tmp_path / "untouched"
    steps = victim.run(untouched)["taken"]
    assert len(steps) > 30
    queues.empty()

    for step in range(1, len(steps) + 1):
        queues.empty()
        park(queues.sqs, messages)
        folder = tmp_path / str(step)

        assert victim.run(folder, step)["signal"] == SIGKILL
        victim.run_to_the_end(folder)

        place = f"killed after step {step}, {steps[step - 1]}"
        assert queues.parked() == 0, place
        wanted = [message.body for message in messages if message.service == "loader"]
        assert sorted(bodies(queues, "loader")) == sorted(wanted), place
        # A standard queue may hold a message twice; its service works on it once.
        worked = asyncio.run(work_through(queues, emulator_url, "generator", "collector"))
        assert sorted(worked) == ["CollectFolder 2013Q1", "GenerateRequest all"], place


def test_killed_between_send_and_journal_a_standard_queue_gets_a_message_twice(
    victim: Victim, queues: Queues, tmp_path: Path, emulator_url: str
) -> None:
    """What the copies' replay id is for: without this instant there would be none."""
    park(queues.sqs, [Parked("collector", collect(Period(2013, 1)))])
    steps = victim.run(tmp_path / "untouched")["taken"]
    queues.empty()
    park(queues.sqs, [Parked("collector", collect(Period(2013, 1)))])

    victim.run(tmp_path / "killed", steps.index("send") + 1)
    victim.run_to_the_end(tmp_path / "killed")

    assert queues.depth(NAMES.queue("collector")) == 2
    worked = asyncio.run(work_through(queues, emulator_url, "collector"))
    assert worked == ["CollectFolder 2013Q1"]


def test_two_hundred_messages_survive_three_kills(
    victim: Victim, queues: Queues, tmp_path: Path
) -> None:
    messages = parked_messages(200)
    park(queues.sqs, messages)

    for step in (9, 23, 31):
        assert victim.run(tmp_path, step)["signal"] == SIGKILL
    victim.run_to_the_end(tmp_path)

    unreadable = [m for m in messages if m.attributes.get("error_type") == "InvalidMessage"]
    assert queues.parked() == len(unreadable)
    sent = Counter(body for service in SERVICES for body in bodies(queues, service))
    assert set(sent) == {m.body for m in messages} - {m.body for m in unreadable}
    for message in messages:
        if message.service == "loader":
            assert sent[message.body] == 1

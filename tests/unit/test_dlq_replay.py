"""Replaying with a journal, on queues in memory that can die at any step."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.dlq.journal import Action, AlreadyUnderWay, Item, Journal, Tally
from ops.dlq.message import Origin
from ops.dlq.queues import Outgoing
from ops.dlq.replay import Execution, Pace
from ops.dlq.store import open_database
from tests.dead_letters import AT, COLLECTOR, LOADER, FakeDeadLetters, Killed, parked

ORIGINS = (COLLECTOR, LOADER)
FAST = Pace(1_000_000)


def journal_in_memory() -> Journal:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    return Journal(connection)


def item(position: int, origin: Origin, number: int, group: str | None = None) -> Item:
    message = parked(number, origin)
    return Item(
        position=position,
        queue=origin.queue,
        target=origin.target,
        message_id=message.message_id,
        order_group=group,
        outgoing=Outgoing(
            message.body,
            {"original_message_id": message.message_id},
            group,
            f"dedup-{number}" if origin.fifo else None,
        ),
    )


def begin(journal: Journal, *items: Item, action_id: str = "a1") -> None:
    journal.begin(Action(action_id, "replay", AT, "me", "because", "key"), items)


async def run(journal: Journal, queues: FakeDeadLetters, action_id: str = "a1") -> Tally:
    return await Execution(action_id, journal, queues, FAST).run(ORIGINS)


def mixed(count: int) -> tuple[FakeDeadLetters, list[Item]]:
    """Half collector messages, half loader messages in two groups."""
    queues, items = FakeDeadLetters(), []
    for number in range(count):
        origin = ORIGINS[number % 2]
        queues.put(parked(number, origin))
        group = f"table-{number % 4}" if origin.fifo else None
        items.append(item(number, origin, number, group))
    return queues, items


async def test_a_replay_sends_every_message_and_then_deletes_it() -> None:
    queues, items = mixed(24)
    journal = journal_in_memory()
    begin(journal, *items)

    tally = await run(journal, queues)

    assert tally.by_state == {"done": 24}
    assert len(queues.sent[COLLECTOR.target]) == len(queues.sent[LOADER.target]) == 12
    assert queues.ids(COLLECTOR.queue) == queues.ids(LOADER.queue) == []
    assert journal.unfinished() == []


@given(death=st.integers(1, 60), again=st.integers(1, 60), leases_end=st.booleans())
async def test_dying_at_any_two_steps_loses_nothing_and_doubles_nothing_on_fifo(
    death: int, again: int, leases_end: bool
) -> None:
    queues, items = mixed(14)
    journal = journal_in_memory()
    begin(journal, *items)
    for step in (death, again):
        queues.die_at, queues.steps = step, 0
        try:
            await run(journal, queues)
        except Killed:
            if leases_end:
                queues.leases_run_out()
    queues.die_at = None
    queues.leases_run_out()  # what died while receiving holds messages that no receipt is known of

    tally = await run(journal, queues)

    assert tally.by_state == {"done": 14}
    assert queues.ids(COLLECTOR.queue) == queues.ids(LOADER.queue) == []
    to_loader = [message.body for message in queues.sent[LOADER.target]]
    assert to_loader == [one.outgoing.body for one in items if one.target == LOADER.target]
    # Without deduplication a death between send and journal sends one batch again, no more.
    to_collector = [message.body for message in queues.sent[COLLECTOR.target]]
    assert set(to_collector) == {
        one.outgoing.body for one in items if one.target == COLLECTOR.target
    }
    assert len(to_collector) <= 7 * 3


async def test_messages_that_arrive_meanwhile_are_left_alone() -> None:
    queues, items = mixed(4)
    stranger = parked(99)
    queues.put(stranger)
    journal = journal_in_memory()
    begin(journal, *items)

    await run(journal, queues)

    assert queues.ids(COLLECTOR.queue) == [stranger.message_id]
    assert not queues.stored[COLLECTOR.queue][0].hidden


async def test_a_refused_message_stays_parked_and_holds_back_its_group_only() -> None:
    queues = FakeDeadLetters()
    items = [item(0, LOADER, 0, "rc"), item(1, LOADER, 1, "rc"), item(2, LOADER, 2, "rcb")]
    queues.put(*(parked(number, LOADER) for number in range(3)))
    queues.refuse.add(items[0].outgoing.body)
    journal = journal_in_memory()
    begin(journal, *items)

    tally = await run(journal, queues)

    assert tally.by_state == {"refused": 1, "held_back": 1, "done": 1}
    assert queues.ids(LOADER.queue) == [items[0].message_id, items[1].message_id]
    assert not any(one.hidden for one in queues.stored[LOADER.queue])


async def test_messages_of_one_group_are_never_in_one_batch() -> None:
    queues = FakeDeadLetters()
    queues.put(*(parked(number, LOADER) for number in range(5)))
    items = [item(number, LOADER, number, "rc") for number in range(5)]
    journal = journal_in_memory()
    begin(journal, *items)

    await run(journal, queues)

    assert [message.body for message in queues.sent[LOADER.target]] == [
        one.outgoing.body for one in items
    ]


async def test_more_than_ten_of_a_group_that_sqs_redrove_are_replayed_in_rounds() -> None:
    queues = FakeDeadLetters()
    queues.put(*(parked(number, LOADER, group="call_reports.rc") for number in range(25)))
    journal = journal_in_memory()
    begin(journal, *(item(number, LOADER, number, "call_reports.rc") for number in range(25)))

    tally = await run(journal, queues)

    assert tally.by_state == {"done": 25}


async def test_a_message_held_by_someone_else_stays_open() -> None:
    queues, items = mixed(2)
    await queues.hold(COLLECTOR, seconds=60)
    journal = journal_in_memory()
    begin(journal, *items)

    tally = await run(journal, queues)

    assert tally.by_state == {"planned": 1, "done": 1}
    assert [action.action_id for action in journal.unfinished()] == ["a1"]
    queues.leases_run_out()
    assert (await run(journal, queues)).by_state == {"done": 2}


async def test_a_message_that_is_gone_is_reported_and_not_sent() -> None:
    queues = FakeDeadLetters()
    journal = journal_in_memory()
    begin(journal, item(0, COLLECTOR, 0))

    tally = await run(journal, queues)

    assert tally.by_state == {"gone": 1}
    assert queues.sent == {}


async def test_what_could_not_be_deleted_is_deleted_by_the_next_run_and_not_sent_again() -> None:
    queues, items = mixed(1)
    queues.fail_to_delete = 1
    journal = journal_in_memory()
    begin(journal, *items)
    assert (await run(journal, queues)).by_state == {"sent": 1}

    tally = await run(journal, queues)

    assert tally.by_state == {"done": 1}
    assert len(queues.sent[COLLECTOR.target]) == 1


def test_two_unfinished_actions_cannot_have_the_same_message() -> None:
    journal = journal_in_memory()
    begin(journal, item(0, COLLECTOR, 0))

    with pytest.raises(AlreadyUnderWay, match="quarry dlq resume a1"):
        begin(journal, item(0, COLLECTOR, 0), action_id="a2")


async def test_the_pace_keeps_to_its_rate() -> None:
    waits: list[float] = []
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        waits.append(seconds)
        now += seconds

    pace = Pace(5, sleep=sleep, clock=lambda: now)
    for _ in range(4):
        await pace.wait(10)

    assert now == pytest.approx(6)
    assert waits == pytest.approx([2, 2, 2])


def test_a_committed_journal_entry_survives_another_connection(tmp_path: Path) -> None:
    begin(Journal(open_database(tmp_path / "store.sqlite")), item(0, COLLECTOR, 0))

    again = Journal(open_database(tmp_path / "store.sqlite"))

    assert [one.message_id for one in again.items("a1")] == ["0000-collector"]

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts import CollectFolder, Envelope, GenerateRequest, Period, open_request
from shared.consumer import Consumer, Done, OutOfTime, RetryPolicy, only
from shared.errors import PeriodNotOffered, SourceUnavailable
from shared.inbox import Delivery, fingerprint
from tests.fakes import FakeInbox, FakeRunLog

Handle = Callable[[Envelope[CollectFolder]], Awaitable[Done]]


def delivery(body: str | None = None, *, attempt: int = 1) -> Delivery:
    payload = CollectFolder(dataset="call_reports", period=Period(2013, 1))
    envelope = Envelope[CollectFolder].wrap(
        payload, run_id="run-1", trace=None, sent_at=datetime(2026, 11, 21, tzinfo=UTC)
    )
    return Delivery("sqs-1", "receipt-1", body or envelope.to_json(), attempt)


def consumer(
    handle: Handle, inbox: FakeInbox, run_log: FakeRunLog, *, visibility: int = 30
) -> Consumer[CollectFolder]:
    policy = RetryPolicy(visibility, max_receive_count=5, base_seconds=10)
    return Consumer("collector", inbox, run_log, only(CollectFolder), handle, policy)


async def succeed(_: Envelope[CollectFolder]) -> Done:
    return Done(counts={"files": 3}, warnings=("one part is missing",))


def failing(error: Exception) -> Handle:
    async def handle(_: Envelope[CollectFolder]) -> Done:
        raise error

    return handle


async def test_finished_work_is_recorded_with_its_counts_and_warnings() -> None:
    run_log = FakeRunLog()
    await consumer(succeed, FakeInbox(), run_log).consume(delivery())
    assert [(step.status, step.part) for step in run_log.records] == [
        ("started", "2013Q1"),
        ("done", "2013Q1"),
    ]
    assert run_log.records[-1].counts == {"files": 3}
    assert run_log.records[-1].warnings == ("one part is missing",)


async def test_a_permanent_error_parks_the_message_at_once_with_its_reason() -> None:
    inbox, run_log = FakeInbox(), FakeRunLog()
    handle = failing(PeriodNotOffered("03/31/2013 is not in the list"))
    await consumer(handle, inbox, run_log).consume(delivery())
    assert [str(error) for _, error in inbox.parked] == ["03/31/2013 is not in the list"]
    assert run_log.records[-1].status == "parked"
    assert run_log.records[-1].reason == "PeriodNotOffered: 03/31/2013 is not in the list"


async def test_an_unreadable_body_is_parked_as_it_came() -> None:
    inbox = FakeInbox()
    await consumer(succeed, inbox, FakeRunLog()).consume(delivery("{not json"))
    assert [parked.body for parked, _ in inbox.parked] == ["{not json"]


@pytest.mark.parametrize("error", [SourceUnavailable("503"), RuntimeError("a bug")])
async def test_any_other_error_gives_the_message_back_to_be_tried_later(error: Exception) -> None:
    inbox, run_log = FakeInbox(), FakeRunLog()
    with pytest.raises(type(error)):
        await consumer(failing(error), inbox, run_log).consume(delivery())
    [(_, delay)] = inbox.extended
    assert 5 <= delay <= 10
    assert inbox.parked == []
    assert run_log.records[-1].status == "retrying"


async def test_each_retry_waits_twice_as_long_as_the_one_before() -> None:
    inbox = FakeInbox()
    for attempt in (1, 2, 3, 4):
        with pytest.raises(SourceUnavailable):
            await consumer(failing(SourceUnavailable("503")), inbox, FakeRunLog()).consume(
                delivery(attempt=attempt)
            )
    for attempt, (_, delay) in enumerate(inbox.extended, start=1):
        longest = 10 * 2 ** (attempt - 1)
        assert longest / 2 <= delay <= longest


async def test_the_last_allowed_attempt_parks_the_message_with_its_reason() -> None:
    inbox = FakeInbox()
    handle = failing(SourceUnavailable("503"))
    await consumer(handle, inbox, FakeRunLog()).consume(delivery(attempt=5))
    assert [str(error) for _, error in inbox.parked] == ["503"]


async def test_work_that_finished_is_repeated_when_it_could_not_be_recorded() -> None:
    inbox = FakeInbox()
    with pytest.raises(Exception, match="run log is not reachable"):
        await consumer(succeed, inbox, FakeRunLog(unreachable=True)).consume(delivery())
    assert inbox.parked == []


async def test_long_work_keeps_its_lease_alive() -> None:
    inbox = FakeInbox()

    async def slow(_: Envelope[CollectFolder]) -> Done:
        await asyncio.sleep(0.1)
        return Done()

    short_lease = consumer(slow, inbox, FakeRunLog(), visibility=0)
    await short_lease.consume(delivery())
    assert ("sqs-1", 0) in inbox.extended


async def test_work_that_outlasts_the_invocation_is_cancelled_and_given_back_at_once() -> None:
    inbox = FakeInbox()
    with pytest.raises(OutOfTime):
        await consumer(_never_ending, inbox, FakeRunLog()).consume(delivery(), seconds_left=0.05)
    assert inbox.extended == [("sqs-1", 0)]


async def test_a_worker_that_is_told_to_stop_gives_the_message_back() -> None:
    inbox = FakeInbox()
    work = asyncio.create_task(consumer(_never_ending, inbox, FakeRunLog()).consume(delivery()))
    await asyncio.sleep(0.05)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert inbox.extended == [("sqs-1", 0)]


async def _never_ending(_: Envelope[CollectFolder]) -> Done:
    await asyncio.Event().wait()
    return Done()


def _raised(error: Exception) -> Exception:
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("row 12 of 'a.txt' is bad", "row 977 of 'b.txt' is bad", True),
        ("row 12 is bad", "column 12 is bad", False),
    ],
)
def test_errors_of_one_kind_have_one_fingerprint(one: str, other: str, same: Any) -> None:
    found = fingerprint(_raised(ValueError(one))) == fingerprint(_raised(ValueError(other)))
    assert found is same


async def test_only_one_of_two_messages_with_one_replay_id_is_worked_on() -> None:
    worked: list[str] = []

    async def handle(envelope: Envelope[CollectFolder]) -> Done:
        worked.append(envelope.payload.part)
        return Done()

    run_log = FakeRunLog()
    first = replace(delivery(), attributes={"replay_id": "r1"})
    copy = replace(first, message_id="sqs-2")
    own = consumer(handle, FakeInbox(), run_log)

    for one in (first, copy, first, replace(copy, attributes={"replay_id": "r2"})):
        await own.consume(one)

    # The first comes again when it was not deleted; the second replay is another.
    assert worked == ["2013Q1"] * 3
    assert run_log.claims == {"r1": "sqs-1", "r2": "sqs-2"}


async def test_a_bare_request_is_as_old_as_its_queue_says_and_a_replay_goes_on_with_its_run() -> (
    None
):
    run_log = FakeRunLog()
    body = '{"dataset": "call_reports"}'

    async def handle(_: Envelope[GenerateRequest]) -> Done:
        return Done()

    def open_bare(body: str, *, message_id: str) -> Envelope[GenerateRequest]:
        return open_request(body, GenerateRequest, message_id=message_id)

    policy = RetryPolicy(30, max_receive_count=5, base_seconds=10)
    own = Consumer("generator", FakeInbox(), run_log, open_bare, handle, policy)
    sent_at = datetime(2026, 11, 21, tzinfo=UTC)
    await own.consume(Delivery("sqs-1", "receipt-1", body, 1, sent_at=sent_at))
    assert {step.sent_at for step in run_log.records} == {sent_at}
    replayed = {"original_message_id": "sqs-1"}
    await own.consume(Delivery("sqs-2", "receipt-2", body, 1, attributes=replayed))

    assert len({step.run_id for step in run_log.records}) == 1

"""The worker on real queues: order, parking, redelivery, leases and orderly ends."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pytest

from contracts import CollectFolder, Envelope, Period
from shared.aws import open_clients
from shared.consumer import Consumer, Done, RetryPolicy, only
from shared.errors import PeriodNotOffered, SourceUnavailable
from shared.inbox import SqsInbox
from shared.run_log import DynamoRunLog
from shared.send import Order, send_batch
from shared.settings import ServiceSettings
from shared.worker import LambdaHandler, Service, poll

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

RUNS_TABLE = "quarry-local-runs"


@dataclass
class Queues:
    """A queue of this test's own with its DLQ."""

    sqs: "SQSClient"
    url: str
    dlq_url: str

    def send(self, *quarters: int, group: str = "call_reports.rc") -> None:
        for quarter in quarters:
            self.send_body(command(quarter).to_json(), group=group)

    def send_body(self, body: str, *, group: str = "call_reports.rc") -> None:
        message: dict[str, Any] = {"QueueUrl": self.url, "MessageBody": body}
        if self.url.endswith(".fifo"):
            message |= {"MessageGroupId": group, "MessageDeduplicationId": uuid4().hex}
        self.sqs.send_message(**message)

    def parked(self, *, wait_seconds: int = 0) -> list[Any]:
        return self.sqs.receive_message(
            QueueUrl=self.dlq_url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=wait_seconds,
            MessageAttributeNames=["All"],
        ).get("Messages", [])

    def left(self) -> int:
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])
        waiting = found["Attributes"]["ApproximateNumberOfMessages"]
        in_flight = found["Attributes"]["ApproximateNumberOfMessagesNotVisible"]
        return int(waiting) + int(in_flight)


def command(quarter: int) -> Envelope[CollectFolder]:
    payload = CollectFolder(dataset="call_reports", period=Period(2013, quarter))
    return Envelope[CollectFolder].wrap(
        payload, run_id="run-1", trace=None, sent_at=datetime(2026, 11, 21, tzinfo=UTC)
    )


pytestmark = pytest.mark.usefixtures("emulator")


@pytest.fixture(params=["standard", "fifo"])
def queues(request: pytest.FixtureRequest) -> Queues:
    return make_queues(fifo=request.param == "fifo")


@pytest.fixture
def fifo_queues() -> Queues:
    return make_queues(fifo=True)


@pytest.fixture
def standard_queues() -> Queues:
    return make_queues(fifo=False)


def make_queues(*, fifo: bool) -> Queues:
    sqs = boto3.client("sqs")
    name, suffix = f"test-{uuid4().hex}", ".fifo" if fifo else ""
    kind: dict[Any, str] = {"FifoQueue": "true"} if fifo else {}
    dlq_url = sqs.create_queue(QueueName=f"{name}-dlq{suffix}", Attributes=kind)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dlq_url, AttributeNames=["QueueArn"])
    redrive = {"deadLetterTargetArn": arn["Attributes"]["QueueArn"], "maxReceiveCount": 3}
    url = sqs.create_queue(
        QueueName=f"{name}{suffix}",
        Attributes={**kind, "RedrivePolicy": json.dumps(redrive), "VisibilityTimeout": "3"},
    )["QueueUrl"]
    return Queues(sqs, url, dlq_url)


@dataclass
class Work:
    """A use case that remembers what it saw and misbehaves as told, by quarter."""

    seen: list[int] = field(default_factory=list)
    errors: dict[int, list[Exception]] = field(default_factory=dict)
    seconds: float = 0

    async def __call__(self, envelope: Envelope[CollectFolder]) -> Done:
        assert envelope.payload.period is not None
        quarter = envelope.payload.period.quarter
        self.seen.append(quarter)
        await asyncio.sleep(self.seconds)
        waiting = self.errors.get(quarter)
        if waiting:
            raise waiting.pop(0)
        return Done(counts={"files": quarter})


@asynccontextmanager
async def service(
    queues: Queues, work: Work, *, lanes: int = 1, grace: float = 5
) -> AsyncIterator[Service]:
    settings = ServiceSettings(
        env="local",
        bucket="unused",
        bus="unused",
        runs_table=RUNS_TABLE,
        queue_url=queues.url,
        dlq_url=queues.dlq_url,
        visibility_seconds=3,
        max_receive_count=3,
        retry_base_seconds=0.01,
        lanes=lanes,
        wait_seconds=1,
        grace_seconds=grace,
    )
    async with open_clients() as clients:
        inbox = SqsInbox(clients.sqs, queues.url, queues.dlq_url, "collector")
        run_log = DynamoRunLog(clients.dynamodb, RUNS_TABLE)
        policy = RetryPolicy(3, max_receive_count=3, base_seconds=0.01)
        consumer = Consumer("collector", inbox, run_log, only(CollectFolder), work, policy)
        yield Service(consumer, inbox, settings)


async def work_until(
    condition: Callable[[], bool], queues: Queues, work: Work, *, lanes: int = 1, grace: float = 5
) -> None:
    """Run a real worker until `condition` holds, then stop it as SIGTERM would."""
    stopping = asyncio.Event()
    async with service(queues, work, lanes=lanes, grace=grace) as opened:
        running = asyncio.create_task(poll(opened, stopping))
        deadline = time.monotonic() + 20
        while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110  # the queue has no event to wait for
            await asyncio.sleep(0.02)
        stopping.set()
        await running
    assert condition()


async def test_every_message_is_worked_on_once_and_deleted(queues: Queues) -> None:
    work = Work()
    queues.send(1, 2, 3, 4)
    await work_until(lambda: len(work.seen) == 4, queues, work, lanes=2)
    assert sorted(work.seen) == [1, 2, 3, 4]
    assert queues.left() == 0


async def test_a_permanent_error_goes_to_the_dlq_with_its_body_and_reason(queues: Queues) -> None:
    work = Work(errors={2: [PeriodNotOffered("06/30/2013 is not in the list")]})
    queues.send(1, 2, 3)
    await work_until(lambda: len(work.seen) == 3, queues, work)
    [parked] = queues.parked()
    assert parked["Body"] == command(2).to_json()
    attributes = {name: value["StringValue"] for name, value in parked["MessageAttributes"].items()}
    assert attributes["reason"] == "06/30/2013 is not in the list"
    assert attributes["error_type"] == "PeriodNotOffered"
    assert attributes["service"] == "collector"
    assert "test_worker.py" in attributes["traceback"]
    assert queues.left() == 0


async def test_bad_bytes_are_parked_as_they_came(queues: Queues) -> None:
    body = '{"type": "CollectFolder", "vers'
    queues.send_body(body)
    work = Work()
    await work_until(lambda: queues.left() == 0, queues, work)
    assert [message["Body"] for message in queues.parked()] == [body]
    assert work.seen == []


async def test_a_transient_error_is_tried_again_until_it_works(queues: Queues) -> None:
    work = Work(errors={1: [SourceUnavailable("503"), SourceUnavailable("503")]})
    queues.send(1)
    await work_until(lambda: len(work.seen) == 3, queues, work)
    assert queues.parked() == []
    assert queues.left() == 0


async def test_a_message_that_fails_every_time_is_parked_with_its_reason(queues: Queues) -> None:
    work = Work(errors={1: [RuntimeError(f"bug {number}") for number in range(9)]})
    queues.send(1)
    await work_until(lambda: queues.left() == 0, queues, work)
    [parked] = queues.parked()
    assert parked["MessageAttributes"]["reason"]["StringValue"] == "bug 2"
    assert work.seen == [1, 1, 1]


async def test_on_fifo_a_retried_message_stays_before_the_later_ones_of_its_group(
    fifo_queues: Queues,
) -> None:
    work = Work(errors={1: [SourceUnavailable("503")]})
    fifo_queues.send(1, 2, 3)
    await work_until(lambda: len(work.seen) == 4, fifo_queues, work, lanes=2)
    assert work.seen == [1, 1, 2, 3]


async def test_on_fifo_a_parked_message_does_not_block_its_group(fifo_queues: Queues) -> None:
    work = Work(errors={1: [PeriodNotOffered("gone")]})
    fifo_queues.send(1, 2)
    await work_until(lambda: work.seen == [1, 2], fifo_queues, work)
    assert len(fifo_queues.parked()) == 1


async def test_on_fifo_groups_are_worked_on_side_by_side(fifo_queues: Queues) -> None:
    work = Work(seconds=0.5)
    fifo_queues.send(1, group="call_reports.rc")
    fifo_queues.send(2, group="call_reports.ri")
    started = time.monotonic()
    await work_until(lambda: len(work.seen) == 2, fifo_queues, work, lanes=2)
    assert time.monotonic() - started < 5
    assert sorted(work.seen) == [1, 2]


async def test_work_longer_than_the_lease_is_not_handed_out_twice(standard_queues: Queues) -> None:
    work = Work(seconds=4.5)
    standard_queues.send(1)
    await work_until(
        lambda: bool(work.seen) and standard_queues.left() == 0, standard_queues, work, lanes=2
    )
    assert work.seen == [1]


async def test_a_stopping_worker_finishes_what_it_has_in_hand(standard_queues: Queues) -> None:
    work = Work(seconds=0.5)
    standard_queues.send(1)
    await work_until(lambda: work.seen == [1], standard_queues, work)
    assert standard_queues.left() == 0


async def test_a_stopping_worker_gives_back_what_takes_too_long(standard_queues: Queues) -> None:
    work = Work(seconds=60)
    standard_queues.send(1)
    await work_until(lambda: work.seen == [1], standard_queues, work, grace=0.1)
    quick = Work()
    await work_until(lambda: quick.seen == [1], standard_queues, quick)
    assert standard_queues.parked() == []


async def test_a_queue_that_was_lost_is_read_again_once_it_is_back(standard_queues: Queues) -> None:
    work = Work()
    name = standard_queues.url.rsplit("/", 1)[-1]
    standard_queues.sqs.delete_queue(QueueUrl=standard_queues.url)
    stopping = asyncio.Event()
    async with service(standard_queues, work) as opened:
        running = asyncio.create_task(poll(opened, stopping))
        await asyncio.sleep(0.5)
        standard_queues.sqs.create_queue(QueueName=name)
        standard_queues.send(1)
        deadline = time.monotonic() + 10
        while not work.seen and time.monotonic() < deadline:  # noqa: ASYNC110  # the queue has no event to wait for
            await asyncio.sleep(0.02)
        stopping.set()
        await running
    assert work.seen == [1]


async def test_a_worker_does_not_outlive_a_lane_that_failed(standard_queues: Queues) -> None:
    async with service(standard_queues, Work(), lanes=2) as opened:
        broken = replace(opened, inbox=_FailsOnce(opened.inbox))
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(poll(broken, asyncio.Event()), 10)


async def test_every_message_of_a_large_batch_is_sent(standard_queues: Queues) -> None:
    async with open_clients() as clients:
        await send_batch(clients.sqs, standard_queues.url, [(command(1), None)] * 37)
    assert standard_queues.left() == 37


async def test_a_repeated_deduplication_id_is_one_message(fifo_queues: Queues) -> None:
    order = Order(group="call_reports.rc", deduplication_id="load-1")
    async with open_clients() as clients:
        await send_batch(clients.sqs, fifo_queues.url, [(command(1), order)])
        await send_batch(clients.sqs, fifo_queues.url, [(command(1), order)])
    assert fifo_queues.left() == 1


async def test_a_steps_record_can_be_read_back_by_run(standard_queues: Queues) -> None:
    work = Work()
    standard_queues.send(3)
    await work_until(
        lambda: standard_queues.left() == 0 and work.seen == [3], standard_queues, work
    )
    async with open_clients() as clients:
        steps = await DynamoRunLog(clients.dynamodb, RUNS_TABLE).steps("run-1")
    [step] = [step for step in steps if step.part == "2013Q3"]
    assert (step.stage, step.status, step.counts) == ("collector", "done", {"files": 3})


def test_one_batch_reports_exactly_the_messages_that_failed(standard_queues: Queues) -> None:
    work = Work(errors={2: [SourceUnavailable("503")], 4: [PeriodNotOffered("gone")]})
    standard_queues.send(1, 2, 3, 4)
    received: list[Any] = []
    while len(received) < 4:
        answer = standard_queues.sqs.receive_message(
            QueueUrl=standard_queues.url,
            MaxNumberOfMessages=10,
            MessageSystemAttributeNames=["All"],
        )
        received.extend(answer.get("Messages", []))
    by_body = {message["Body"]: message["MessageId"] for message in received}
    event = {"Records": [_record(message) for message in received]}
    with closing(LambdaHandler(lambda: service(standard_queues, work))) as handler:
        result = handler(event, _Context(60_000))
    assert [item["itemIdentifier"] for item in result["batchItemFailures"]] == [
        by_body[command(2).to_json()]
    ]


def test_an_invocation_with_no_time_left_returns_its_messages_untouched(
    standard_queues: Queues,
) -> None:
    work = Work()
    standard_queues.send(1)
    received = standard_queues.sqs.receive_message(
        QueueUrl=standard_queues.url, MessageSystemAttributeNames=["All"]
    )["Messages"]
    with closing(LambdaHandler(lambda: service(standard_queues, work))) as handler:
        result = handler({"Records": [_record(received[0])]}, _Context(3_000))
    assert len(result["batchItemFailures"]) == 1
    assert work.seen == []


class _FailsOnce(SqsInbox):
    """An inbox whose first receive meets a mistake in the program."""

    def __init__(self, like: SqsInbox) -> None:
        self.__dict__.update(vars(like))
        self._failed = False

    async def receive(self, *, limit: int, wait_seconds: int) -> list[dict[str, Any]]:
        if not self._failed:
            self._failed = True
            raise ZeroDivisionError
        return await super().receive(limit=limit, wait_seconds=wait_seconds)


@dataclass
class _Context:
    milliseconds: int

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


def _record(message: Any) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:test",
        "awsRegion": "us-east-1",
    }

"""The two ways a service runs: as a Lambda handler, and as a worker polling for that handler."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    SqsFifoPartialProcessor,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from shared.consumer import Consumer, OutOfTime
from shared.errors import QuarryError
from shared.inbox import Delivery, SqsInbox
from shared.log import log
from shared.settings import ServiceSettings
from shared.together import together

# What a Lambda invocation keeps back to report its result.
_MARGIN_SECONDS = 5.0
_PAUSE_AFTER_FAILURE_SECONDS = 1.0


@dataclass(frozen=True)
class Service:
    """A service with its adapters open: what it does and which queue it reads."""

    consumer: Consumer[Any]
    inbox: SqsInbox
    settings: ServiceSettings


OpenService = Callable[[], AbstractAsyncContextManager[Service]]


class Context(Protocol):
    """The part of Lambda's context object that is used."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends this invocation."""
        ...


@dataclass
class EventLoop:
    """Runs coroutines on its loop for synchronous callers in other threads."""

    loop: asyncio.AbstractEventLoop
    running: set[asyncio.Task[None]] = field(default_factory=set)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait until `work` has ended on the loop; raises what it raises."""
        asyncio.run_coroutine_threadsafe(self._run(work), self.loop).result()

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self.running.add(task)
        try:
            await task
        finally:
            self.running.discard(task)

    def cancel_running(self) -> None:
        """Cancel, once each, what has not ended; its caller gets a CancelledError when it has.

        To be called on the loop.
        """
        while self.running:
            self.running.pop().cancel()


def handle_event(
    event: dict[str, Any], context: Context | None, service: Service, loop: EventLoop
) -> dict[str, Any]:
    """Treat one SQS event and report partial failures; called from a thread other than the loop's.

    On FIFO a failure also returns the later messages of its own group, so that order holds.
    Messages that were not begun are visible again at once.
    """
    begun: set[str] = set()

    def treat(record: SQSRecord) -> None:
        seconds_left = None
        if context is not None:
            seconds_left = context.get_remaining_time_in_millis() / 1000 - _MARGIN_SECONDS
            if seconds_left <= 0:
                raise OutOfTime("no time left to start this message")
        begun.add(record.message_id)
        loop.run(service.consumer.consume(_delivery(record), seconds_left))

    if service.inbox.fifo:
        processor: BatchProcessor = SqsFifoPartialProcessor(skip_group_on_error=True)
    else:
        processor = BatchProcessor(EventType.SQS)
    # A batch that failed whole is reported like any other, so that each message keeps its backoff.
    processor.raise_on_entire_batch_failure = False
    result: dict[str, Any] = dict(process_partial_response(event, treat, processor))
    failed = {item["itemIdentifier"] for item in result["batchItemFailures"]}
    records = [SQSRecord(record) for record in event["Records"]]
    rest = [_delivery(one) for one in records if one.message_id in failed - begun]
    if rest:
        loop.run(_give_back(service.inbox, rest))
    return result


def _delivery(record: SQSRecord) -> Delivery:
    attributes = record.attributes
    sent = attributes.get("SentTimestamp")
    return Delivery(
        message_id=record.message_id,
        receipt=record.receipt_handle,
        body=record.body,
        attempt=int(attributes.approximate_receive_count),
        group=attributes.message_group_id,
        attributes={
            name: value.string_value or "" for name, value in record.message_attributes.items()
        },
        sent_at=datetime.fromtimestamp(int(sent) / 1000, UTC) if sent else None,
    )


async def _give_back(inbox: SqsInbox, rest: Sequence[Delivery]) -> None:
    """Let others have what was not begun: reported alone, it stays hidden for its whole lease.

    On FIFO one hidden message also holds back its group.
    """
    try:
        await together(inbox.extend(delivery, 0) for delivery in rest)
    except QuarryError as error:
        # Each lease runs out by itself; what the batch finished is still to be reported.
        log.warning("messages_not_given_back", reason=str(error))


class LambdaHandler:
    """The entry Lambda calls. Adapters open at the first event and stay for warm invocations."""

    def __init__(self, open_service: OpenService) -> None:
        self._open_service = open_service
        self._opened: tuple[Service, EventLoop, AsyncExitStack, threading.Thread] | None = None

    def __call__(self, event: dict[str, Any], context: Context) -> dict[str, Any]:
        """Treat one SQS event (AWS shape) and return its `batchItemFailures`."""
        if self._opened is None:
            self._opened = self._open()
        service, loop, *_ = self._opened
        return handle_event(event, context, service, loop)

    def _open(self) -> tuple[Service, EventLoop, AsyncExitStack, threading.Thread]:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        adapters = AsyncExitStack()
        opening = adapters.enter_async_context(self._open_service())
        service = asyncio.run_coroutine_threadsafe(opening, loop).result()
        return service, EventLoop(loop), adapters, thread

    def close(self) -> None:
        """Close the adapters; the next event opens them again."""
        if self._opened is None:
            return
        _, loop, adapters, thread = self._opened
        self._opened = None
        asyncio.run_coroutine_threadsafe(adapters.aclose(), loop.loop).result()
        loop.loop.call_soon_threadsafe(loop.loop.stop)
        thread.join()
        loop.loop.close()


def run_worker(open_service: OpenService) -> None:
    """Poll the service's queue until SIGTERM or SIGINT.

    A message in hand is finished within the grace period, or given back.
    """
    asyncio.run(_run_worker(open_service))


async def _run_worker(open_service: OpenService) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with open_service() as service:
        log.append_keys(service=service.consumer.stage)
        log.info("worker_started", lanes=service.settings.lanes)
        given_back = await poll(service, stopping)
        log.info("worker_stopped", given_back=given_back)


async def poll(service: Service, stopping: asyncio.Event) -> int:
    """Work on the queue until `stopping` is set; return how many messages were given back.

    Raises:
        Exception: a lane met an error without a meaning; the others were ended in order.
    """
    loop = EventLoop(asyncio.get_running_loop())
    lanes = [
        asyncio.create_task(_lane(service, loop, stopping)) for _ in range(service.settings.lanes)
    ]
    told = asyncio.create_task(stopping.wait())
    # A lane that failed ends the worker, to be started anew: it must not live on with fewer lanes.
    await asyncio.wait({told, *lanes}, return_when=asyncio.FIRST_COMPLETED)
    stopping.set()
    _, late = await asyncio.wait(lanes, timeout=service.settings.grace_seconds)
    given_back = len(late)
    while late:
        # Again, because a message may have come in this very moment.
        loop.cancel_running()
        _, late = await asyncio.wait(late, timeout=_PAUSE_AFTER_FAILURE_SECONDS)
    await asyncio.gather(*lanes)
    return given_back


async def _lane(service: Service, loop: EventLoop, stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        try:
            # One at a time: a message waiting behind another would lose its lease unnoticed.
            records = await service.inbox.receive(
                limit=1, wait_seconds=service.settings.wait_seconds
            )
            for record in records:
                await _treat(service, loop, record)
        except QuarryError as error:
            # A refusal passes, too: a queue is made again, a right given back, a receipt outdated.
            log.warning("queue_not_reached", reason=str(error))
            await asyncio.sleep(_PAUSE_AFTER_FAILURE_SECONDS)


async def _treat(service: Service, loop: EventLoop, record: dict[str, Any]) -> None:
    result = await asyncio.to_thread(handle_event, {"Records": [record]}, None, service, loop)
    if not result["batchItemFailures"]:
        await service.inbox.delete(record["receiptHandle"])

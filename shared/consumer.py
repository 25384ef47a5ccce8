"""From one delivered message to one finished use case: parse, lease, run, record, park or retry."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

from contracts import Envelope, InvalidMessage, Payload, Stage, StepRecord, open_envelope
from shared.errors import PermanentError, TransientError
from shared.inbox import Delivery, Inbox, lease
from shared.log import bound, log
from shared.metrics import count_failure, measure
from shared.run_log import RunLog
from shared.traces import annotate

PayloadT = TypeVar("PayloadT", bound=Payload)
# SQS keeps a message invisible for at most 12 hours; nobody waits that long for a retry.
_LONGEST_RETRY_SECONDS = 900


class OutOfTime(TransientError):
    """Too little of the invocation is left to finish this message."""


@dataclass(frozen=True)
class Done:
    """What a use case reports about its finished work, for the run's status."""

    counts: Mapping[str, int] = field(default_factory=dict)
    expects: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    outcome: str | None = None


class OpenMessage(Protocol[PayloadT]):
    """Parses a body into its envelope, or raises InvalidMessage."""

    def __call__(self, body: str, *, message_id: str) -> Envelope[PayloadT]:
        """Return the envelope; `message_id` is the queue's own."""
        ...


def only(payload_type: type[PayloadT]) -> OpenMessage[PayloadT]:
    """Accept enveloped `payload_type` and nothing else."""

    def open_message(body: str, *, message_id: str) -> Envelope[PayloadT]:
        del message_id  # the envelope carries its own
        return open_envelope(body, payload_type)

    return open_message


@dataclass(frozen=True)
class RetryPolicy:
    """How long a message is held, how often it is tried, and the first pause in seconds."""

    visibility_seconds: int
    max_receive_count: int
    base_seconds: float


@dataclass(frozen=True)
class Consumer(Generic[PayloadT]):
    """One service's way of treating a message. Only here are errors caught.

    `handle` must be safe to repeat: a message comes again after any failure.
    """

    stage: Stage
    inbox: Inbox
    run_log: RunLog
    open_message: OpenMessage[PayloadT]
    handle: Callable[[Envelope[PayloadT]], Awaitable[Done]]
    retry: RetryPolicy

    async def consume(self, delivery: Delivery, seconds_left: float | None = None) -> None:
        """Work on one message; returning means it is finished or parked and may be deleted.

        `seconds_left` is what remains of a Lambda invocation; work that outlasts it is cancelled
        and its message given back.

        Raises:
            Exception: the message was given back and is to be delivered again.
        """
        with bound(stage=self.stage, sqs_message_id=delivery.message_id):
            try:
                # A bare request that is replayed goes on with the run it began.
                first_id = delivery.attributes.get("original_message_id", delivery.message_id)
                envelope = self.open_message(delivery.body, message_id=first_id)
            except InvalidMessage as error:
                await self._park_unreadable(delivery, error)
                return
            with bound(
                run_id=envelope.run_id,
                message_id=str(envelope.message_id),
                trace=envelope.trace,
            ):
                await self._consume(delivery, envelope, seconds_left)

    async def _consume(
        self, delivery: Delivery, envelope: Envelope[PayloadT], seconds_left: float | None
    ) -> None:
        step = StepRecord(
            run_id=envelope.run_id,
            stage=self.stage,
            part=envelope.payload.part,
            status="started",
            dataset=envelope.payload.dataset,
            message_id=str(envelope.message_id),
            # A bare message says nothing of its age; its queue does.
            sent_at=min(envelope.sent_at, delivery.sent_at or envelope.sent_at),
            started_at=datetime.now(UTC),
            attempt=delivery.attempt,
            trace=envelope.trace,
        )
        try:
            if await self._is_copy(delivery):
                log.warning("replay_copy_ignored", part=step.part)
                return
            await self.run_log.record(step)
            async with lease(self.inbox, delivery, self.retry.visibility_seconds):
                done = await self._run(envelope, seconds_left)
                ended = _ended(step, "done", **_reported(done))
                await self.run_log.record(ended)
            _tell(ended)
            log.info("step_done", part=step.part, outcome=done.outcome, counts=dict(done.counts))
        except asyncio.CancelledError:
            await self.inbox.extend(delivery, 0)
            log.info("message_given_back", part=step.part)
            raise
        except PermanentError as error:
            await self._park(delivery, step, error)
            _tell(_ended(step, "parked"), error)
        except Exception as error:
            if delivery.attempt >= self.retry.max_receive_count:
                await self._park(delivery, step, error)
                _tell(_ended(step, "parked"), error)
                return
            await self._retry_later(delivery, step, error)
            _tell(_ended(step, "retrying"), error)
            raise

    async def _is_copy(self, delivery: Delivery) -> bool:
        """Say whether another message stands for the same replay.

        A replay that is killed sends again what it may have sent; a standard queue keeps both.
        """
        replay_id = delivery.attributes.get("replay_id")
        return replay_id is not None and not await self.run_log.claim(
            replay_id, delivery.message_id
        )

    async def _run(self, envelope: Envelope[PayloadT], seconds_left: float | None) -> Done:
        try:
            async with asyncio.timeout(seconds_left):
                return await self.handle(envelope)
        except TimeoutError as error:
            if seconds_left is None:
                raise
            raise OutOfTime(f"not finished in the {seconds_left:.0f} s that were left") from error

    async def _park_unreadable(self, delivery: Delivery, error: InvalidMessage) -> None:
        await self.inbox.park(delivery, error)
        count_failure(self.stage, error)
        log.error("message_parked", reason=str(error), error_type=type(error).__name__)

    async def _park(self, delivery: Delivery, step: StepRecord, error: Exception) -> None:
        await self.inbox.park(delivery, error)
        reason = f"{type(error).__name__}: {error}"
        await self.run_log.record(_ended(step, "parked", reason=reason))
        log.exception("message_parked", part=step.part, reason=reason, attempt=step.attempt)

    async def _retry_later(self, delivery: Delivery, step: StepRecord, error: Exception) -> None:
        delay = self.retry.base_seconds * 2 ** (delivery.attempt - 1)
        delay = min(_LONGEST_RETRY_SECONDS, delay) * random.uniform(0.5, 1)  # noqa: S311  # spreads retries, hides nothing
        reason = f"{type(error).__name__}: {error}"
        try:
            await self.inbox.extend(delivery, 0 if isinstance(error, OutOfTime) else round(delay))
            await self.run_log.record(_ended(step, "retrying", reason=reason))
        except TransientError as second:
            # The lease runs out by itself; the first error is the one to tell.
            log.warning("retry_not_announced", reason=str(second))
        log.warning("message_retried", part=step.part, reason=reason, seconds=round(delay))


def _tell(step: StepRecord, error: Exception | None = None) -> None:
    measure(step, error=error)
    annotate(step, error=error)


def _reported(done: Done) -> dict[str, Any]:
    return {
        "counts": dict(done.counts),
        "expects": done.expects,
        "warnings": done.warnings,
        "outcome": done.outcome,
    }


def _ended(step: StepRecord, status: str, **fields: Any) -> StepRecord:
    return step.model_copy(update={"status": status, "finished_at": datetime.now(UTC), **fields})

"""Dead-letter queues on SQS: hold everything once, give it back, send, delete, move."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError

from infra.names import SERVICES, Names
from ops.dlq.message import Origin, ParkedMessage, message_from_sqs
from shared.aws import aws_errors
from shared.errors import PermanentError
from shared.log import log

if TYPE_CHECKING:
    from types_aiobotocore_sqs.client import SQSClient

_BATCH = 10
_ATTEMPTS = 4
_MOVE_NOT_OFFERED = frozenset({"InvalidAction", "UnknownOperationException", "NotImplemented"}) | {
    "UnsupportedOperation",
    "AWS.SimpleQueueService.UnsupportedOperation",
}


class MoveNotOffered(PermanentError):
    """This SQS has no StartMessageMoveTask (the emulator lacks it)."""


@dataclass(frozen=True)
class Depth:
    """What GetQueueAttributes says; counts are approximate in AWS."""

    waiting: int
    in_flight: int
    retention_seconds: int
    arn: str


@dataclass(frozen=True)
class Held:
    """A message that no one else sees for now; `receipt` gives it back or deletes it."""

    message: ParkedMessage
    receipt: str


@dataclass(frozen=True)
class Outgoing:
    """One message to send. `group` and `deduplication_id` are for FIFO targets."""

    body: str
    attributes: dict[str, str]
    group: str | None = None
    deduplication_id: str | None = None


@dataclass(frozen=True)
class Sent:
    """What became of a batch, by position: new message ids, and reasons for those refused."""

    accepted: dict[int, str]
    refused: dict[int, str]


class DeadLetterQueues(Protocol):
    """What the workbench needs of SQS; queues are named, not addressed."""

    async def origins(self) -> list[Origin]:
        """Return the dead-letter queues that exist."""

    async def depth(self, queue: str) -> Depth:
        """Ask how many messages there are."""

    async def hold(self, origin: Origin, *, seconds: int) -> list[Held]:
        """Receive every message that can be received, each once, hidden for `seconds`."""

    async def release(self, queue: str, receipts: Iterable[str]) -> None:
        """Give messages back at once; one that cannot be given back returns by itself."""

    async def extend(self, queue: str, receipts: Sequence[str], *, seconds: int) -> set[str]:
        """Hide messages for `seconds` from now; returns the receipts that still held theirs."""

    async def send(self, queue: str, messages: Sequence[Outgoing]) -> Sent:
        """Send up to ten messages; what fails for a passing reason is tried again first."""

    async def delete(self, queue: str, receipts: Sequence[str]) -> set[str]:
        """Delete messages for good; returns the receipts whose message could not be deleted."""

    async def move(self, origin: Origin, *, per_second: int | None) -> str:
        """Let SQS move everything back by itself; returns the task's handle."""


class SqsDeadLetters:
    """Dead-letter queues of one environment. Addresses are looked up once per queue.

    `poll_seconds` is how long the last receive of a look waits: a long poll asks every SQS server,
    a short one only some, so that an empty answer to it means little.
    """

    def __init__(self, sqs: "SQSClient", names: Names, *, poll_seconds: int = 1) -> None:
        self._poll_seconds = poll_seconds
        self._sqs = sqs
        self._names = names
        self._urls: dict[str, str] = {}

    async def origins(self) -> list[Origin]:
        """Return the services' dead-letter queues, and the bus rule's where it is deployed."""
        names = self._names
        known = [
            Origin(names.dead_letter_queue(service), service, names.queue(service))
            for service in SERVICES
        ]
        undelivered = Origin(
            names.folder_complete_rule_dlq, "processor", names.queue("processor"), events=True
        )
        return [origin for origin in [*known, undelivered] if await self._exists(origin.queue)]

    async def depth(self, queue: str) -> Depth:
        """Ask SQS how many messages there are; raises PermanentError where the queue is absent."""
        with aws_errors(f"asking for the depth of {queue}"):
            response = await self._sqs.get_queue_attributes(
                QueueUrl=await self._url(queue), AttributeNames=["All"]
            )
        found = response["Attributes"]
        return Depth(
            waiting=int(found["ApproximateNumberOfMessages"]),
            in_flight=int(found["ApproximateNumberOfMessagesNotVisible"]),
            retention_seconds=int(found["MessageRetentionPeriod"]),
            arn=found["QueueArn"],
        )

    async def hold(self, origin: Origin, *, seconds: int) -> list[Held]:
        """Receive until a long poll comes back empty, for at most half of `seconds`."""
        depth = await self.depth(origin.queue)
        url = await self._url(origin.queue)
        held: dict[str, Held] = {}
        started = monotonic()
        while monotonic() - started < seconds / 2:
            wait = 0 if len(held) < depth.waiting else self._poll_seconds
            batch = await self._receive(url, seconds=seconds, wait=wait)
            if not batch and wait < self._poll_seconds:
                batch = await self._receive(url, seconds=seconds, wait=self._poll_seconds)
            if not batch:
                break
            for raw in batch:
                message = message_from_sqs(raw, origin, retention_seconds=depth.retention_seconds)
                held[message.message_id] = Held(message, raw["ReceiptHandle"])
        return list(held.values())

    async def _receive(self, url: str, *, seconds: int, wait: int) -> list[Any]:
        with aws_errors(f"receiving from {url}"):
            response = await self._sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=_BATCH,
                VisibilityTimeout=seconds,
                WaitTimeSeconds=wait,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        return list(response.get("Messages", []))

    async def release(self, queue: str, receipts: Iterable[str]) -> None:
        """Give messages back at once; one that cannot be given back returns by itself."""
        wanted = list(receipts)
        kept = await self.extend(queue, wanted, seconds=0)
        if len(kept) < len(wanted):
            log.warning("messages_return_later", queue=queue, count=len(wanted) - len(kept))

    async def extend(self, queue: str, receipts: Sequence[str], *, seconds: int) -> set[str]:
        """Hide messages for `seconds` from now; returns the receipts that still held theirs."""
        kept: set[str] = set()
        for chunk in _chunks(receipts):
            with aws_errors(f"changing leases in {queue}"):
                response = await self._sqs.change_message_visibility_batch(
                    QueueUrl=await self._url(queue),
                    Entries=[
                        {"Id": str(at), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
                        for at, receipt in enumerate(chunk)
                    ],
                )
            kept.update(chunk[int(entry["Id"])] for entry in response.get("Successful", []))
        return kept

    async def send(self, queue: str, messages: Sequence[Outgoing]) -> Sent:
        """Send up to ten messages; a `Failed` entry that is not the sender's fault goes again."""
        url = await self._url(queue)
        waiting = dict(enumerate(messages))
        accepted: dict[int, str] = {}
        refused: dict[int, str] = {}
        failed: dict[int, str] = {}
        for attempt in range(_ATTEMPTS):
            entries = [_entry(at, message) for at, message in waiting.items()]
            with aws_errors(f"sending {len(entries)} messages to {queue}"):
                response = await self._sqs.send_message_batch(QueueUrl=url, Entries=entries)  # type: ignore[arg-type]  # built as dicts
            for done in response.get("Successful", []):
                accepted[int(done["Id"])] = done["MessageId"]
            failed = {
                int(entry["Id"]): f"{entry['Code']}: {entry.get('Message', '')}"
                for entry in response.get("Failed", [])
            }
            at_fault = {int(e["Id"]) for e in response.get("Failed", []) if e["SenderFault"]}
            refused |= {at: reason for at, reason in failed.items() if at in at_fault}
            waiting = {at: waiting[at] for at in failed if at not in at_fault}
            if not waiting:
                return Sent(accepted, refused)
            await asyncio.sleep(0.1 * 2**attempt)
        return Sent(accepted, refused | {at: failed[at] for at in waiting})

    async def delete(self, queue: str, receipts: Sequence[str]) -> set[str]:
        """Delete messages for good; returns the receipts whose message could not be deleted."""
        url = await self._url(queue)
        left = set(receipts)
        for attempt in range(_ATTEMPTS):
            for chunk in _chunks(sorted(left)):
                with aws_errors(f"deleting from {queue}"):
                    response = await self._sqs.delete_message_batch(
                        QueueUrl=url,
                        Entries=[
                            {"Id": str(at), "ReceiptHandle": receipt}
                            for at, receipt in enumerate(chunk)
                        ],
                    )
                left -= {chunk[int(entry["Id"])] for entry in response.get("Successful", [])}
            if not left:
                break
            await asyncio.sleep(0.05 * 2**attempt)
        return left

    async def move(self, origin: Origin, *, per_second: int | None) -> str:
        """Let SQS move everything back by itself.

        Raises:
            MoveNotOffered: this SQS does not know the operation.
        """
        source, target = await self.depth(origin.queue), await self.depth(origin.target)
        # Messages that a worker parked were sent here, so SQS does not know where they came from.
        arguments: dict[str, Any] = {"SourceArn": source.arn, "DestinationArn": target.arn}
        if per_second is not None:
            arguments["MaxNumberOfMessagesPerSecond"] = per_second
        with aws_errors(f"moving {origin.queue} to {origin.target}"):
            try:
                response = await self._sqs.start_message_move_task(**arguments)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in _MOVE_NOT_OFFERED:
                    raise MoveNotOffered(f"SQS does not move {origin.queue} by itself") from error
                raise
        return response["TaskHandle"]

    async def _exists(self, queue: str) -> bool:
        try:
            await self._url(queue)
        except PermanentError:
            return False
        return True

    async def _url(self, queue: str) -> str:
        if queue not in self._urls:
            with aws_errors(f"looking for the queue {queue}"):
                try:
                    found = await self._sqs.get_queue_url(QueueName=queue)
                except self._sqs.exceptions.QueueDoesNotExist as error:
                    raise PermanentError(f"there is no queue {queue}") from error
            self._urls[queue] = found["QueueUrl"]
        return self._urls[queue]


def _entry(at: int, message: Outgoing) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "Id": str(at),
        "MessageBody": message.body,
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value}
            for name, value in message.attributes.items()
        },
    }
    if message.group is not None:
        entry["MessageGroupId"] = message.group
        entry["MessageDeduplicationId"] = message.deduplication_id
    return entry


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]

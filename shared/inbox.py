"""The queue a service reads and its dead-letter queue."""

import asyncio
import hashlib
import re
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from shared.aws import aws_errors
from shared.errors import QuarryError
from shared.log import log

if TYPE_CHECKING:
    from types_aiobotocore_sqs.client import SQSClient

# SQS's limit of a message: the body and its attributes' names, types and values together.
_MESSAGE_BYTES = 1024 * 1024
_REASON_CHARACTERS = 1_000
_TRACEBACK_CHARACTERS = 4_000


@dataclass(frozen=True)
class Delivery:
    """One message as this receive handed it over; `attempt` counts receives from 1.

    `attributes` are its message attributes; only a replayed message has any. `sent_at` is when it
    came into the queue.
    """

    message_id: str
    receipt: str
    body: str
    attempt: int
    group: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    sent_at: datetime | None = None


class Inbox(Protocol):
    """What a consumer may do with the messages of its own queue."""

    async def extend(self, delivery: Delivery, seconds: int) -> None:
        """Keep the message from others for `seconds` from now; 0 gives it back at once."""

    async def park(self, delivery: Delivery, error: BaseException) -> None:
        """Copy the message, its raw body and the reason to the DLQ."""


class SqsInbox:
    """An inbox on SQS, standard or FIFO as the queue's name says."""

    def __init__(self, sqs: "SQSClient", queue_url: str, dlq_url: str, service: str) -> None:
        self.queue_url = queue_url
        self._sqs = sqs
        self._dlq_url = dlq_url
        self._service = service

    @property
    def fifo(self) -> bool:
        """Whether order and deduplication apply."""
        return self.queue_url.endswith(".fifo")

    async def receive(self, *, limit: int, wait_seconds: int) -> list[dict[str, Any]]:
        """Poll for up to `limit` messages and shape them as the records of a Lambda SQS event.

        The shape is AWS's: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
        """
        with aws_errors(f"receiving from {self.queue_url}"):
            response = await self._sqs.receive_message(
                QueueUrl=self.queue_url,
                MaxNumberOfMessages=limit,
                WaitTimeSeconds=wait_seconds,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        return [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": dict(message.get("Attributes", {})),
                "messageAttributes": {
                    name: {
                        "stringValue": value.get("StringValue", ""),
                        "dataType": value["DataType"],
                    }
                    for name, value in message.get("MessageAttributes", {}).items()
                },
                "md5OfBody": message.get("MD5OfBody", ""),
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:::{self.queue_url.rsplit('/', 1)[-1]}",
                "awsRegion": "",
            }
            for message in response.get("Messages", [])
        ]

    async def delete(self, receipt: str) -> None:
        """Forget a message that is done with."""
        with aws_errors(f"deleting from {self.queue_url}"):
            await self._sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=receipt)

    async def extend(self, delivery: Delivery, seconds: int) -> None:
        """Keep the message from others for `seconds` from now; 0 gives it back at once."""
        with aws_errors(f"changing the lease of {delivery.message_id}"):
            await self._sqs.change_message_visibility(
                QueueUrl=self.queue_url,
                ReceiptHandle=delivery.receipt,
                VisibilityTimeout=seconds,
            )

    async def park(self, delivery: Delivery, error: BaseException) -> None:
        """Copy the message, its raw body and the reason to the DLQ.

        A body that fills a whole message leaves no room: its reason is in the log alone.
        """
        attributes = {
            "reason": _one_line(str(error) or type(error).__name__)[:_REASON_CHARACTERS],
            "error_type": type(error).__name__,
            "fingerprint": fingerprint(error),
            "service": self._service,
            "parked_at": datetime.now(UTC).isoformat(),
            "original_message_id": delivery.attributes.get(
                "original_message_id", delivery.message_id
            ),
            "receive_count": str(delivery.attempt),
        }
        # SQS takes ten attributes at most; these two make ten.
        if delivery.group is not None:
            attributes["group"] = delivery.group
        if "replay_attempt" in delivery.attributes:
            attributes["replay_attempt"] = delivery.attributes["replay_attempt"]
        attributes["traceback"] = _end_of_traceback(error)
        order: dict[str, Any] = {}
        if self.fifo:
            order = {
                # A group of its own: of one group SQS shows only the first ten messages until
                # they are deleted, so that an operator would not see the others.
                "MessageGroupId": delivery.message_id,
                "MessageDeduplicationId": delivery.message_id,
            }
        with aws_errors(f"parking {delivery.message_id} in {self._dlq_url}"):
            await self._sqs.send_message(
                QueueUrl=self._dlq_url,
                MessageBody=delivery.body,
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value}
                    for name, value in _that_fit(attributes, delivery.body).items()
                },
                **order,
            )


@asynccontextmanager
async def lease(inbox: Inbox, delivery: Delivery, seconds: int) -> AsyncIterator[None]:
    """Extend the message's lease every third of it while the work inside goes on."""

    async def keep_extending() -> None:
        while True:
            await asyncio.sleep(seconds / 3)
            try:
                await inbox.extend(delivery, seconds)
            except QuarryError as error:
                log.warning("lease_not_extended", reason=str(error))

    heartbeat = asyncio.create_task(keep_extending())
    try:
        yield
    finally:
        heartbeat.cancel()
        # What it has under way must not outlive the client it uses.
        await asyncio.wait([heartbeat])


def fingerprint(error: BaseException) -> str:
    """Return 16 hex digits that are equal for errors of one kind raised at one place.

    Numbers, quoted values and ids differ from message to message and are left out.
    """
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].name}" if frames else ""
    shape = re.sub(r"'[^']*'|\"[^\"]*\"|[0-9a-f-]{8,}|\d+", "#", str(error))
    return hashlib.sha256(f"{type(error).__name__}|{place}|{shape}".encode()).hexdigest()[:16]


def _that_fit(attributes: Mapping[str, str], body: str) -> dict[str, str]:
    """Return the attributes there is room for beside the body, the first ones first."""
    room = _MESSAGE_BYTES - len(body.encode())
    kept: dict[str, str] = {}
    for name, value in attributes.items():
        room -= len(name) + len("String") + len(value.encode())
        if room < 0:
            break
        kept[name] = value
    return kept


def _end_of_traceback(error: BaseException) -> str:
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join(_one_line(line) for line in lines)[-_TRACEBACK_CHARACTERS:]


def _one_line(text: str) -> str:
    # SQS refuses message attributes that hold control characters other than tab and newlines.
    return "".join(character if character.isprintable() else " " for character in text)

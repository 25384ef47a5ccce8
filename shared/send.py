"""Sending commands to a queue and events to the bus, with every partial failure handled."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contracts import Envelope
from shared.aws import aws_errors
from shared.errors import PermanentError, TransientError
from shared.traces import trace_header

if TYPE_CHECKING:
    from types_aiobotocore_events.client import EventBridgeClient
    from types_aiobotocore_events.type_defs import PutEventsRequestEntryTypeDef
    from types_aiobotocore_sqs.client import SQSClient

# Limits of SendMessageBatch: 10 entries and 1 MiB together (AWS SQS quotas, since August 2025).
_BATCH_ENTRIES = 10
_BATCH_BYTES = 1024 * 1024
_ATTEMPTS = 4


@dataclass(frozen=True)
class Order:
    """FIFO only: messages of one group stay in order, equal deduplication ids are one message."""

    group: str
    deduplication_id: str


class MessagesRefused(PermanentError):
    """The queue will never accept these messages as they are."""


async def send_batch(
    sqs: "SQSClient",
    queue_url: str,
    messages: Sequence[tuple[Envelope[Any], Order | None]],
) -> None:
    """Send every message or raise; entries that failed are sent again, the others are not.

    Raises:
        MessagesRefused: the queue says the fault is the sender's.
        TransientError: some entries still failed after four tries.
    """
    for chunk in _chunks([_entry(envelope, order) for envelope, order in messages]):
        await _send_chunk(sqs, queue_url, chunk)


async def _send_chunk(sqs: "SQSClient", queue_url: str, entries: list[dict[str, Any]]) -> None:
    waiting = {str(position): entry for position, entry in enumerate(entries)}
    reasons: list[str] = []
    for attempt in range(_ATTEMPTS):
        if attempt:
            await asyncio.sleep(0.1 * 2 ** (attempt - 1))
        batch = [{"Id": id_, **entry} for id_, entry in waiting.items()]
        with aws_errors(f"sending {len(batch)} messages to {queue_url}"):
            response = await sqs.send_message_batch(QueueUrl=queue_url, Entries=batch)  # type: ignore[arg-type]  # built as dicts
        failed = response.get("Failed", [])
        if not failed:
            return
        reasons = [f"{item['Code']}: {item.get('Message', '')}" for item in failed]
        if any(item["SenderFault"] for item in failed):
            raise MessagesRefused(f"{queue_url} refused {len(failed)} messages: {reasons[0]}")
        waiting = {item["Id"]: waiting[item["Id"]] for item in failed}
    raise TransientError(f"{queue_url} did not take {len(waiting)} messages: {reasons[0]}")


def _entry(envelope: Envelope[Any], order: Order | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"MessageBody": envelope.to_json()}
    trace = trace_header(envelope.trace)
    if trace is not None:
        attribute = {"DataType": "String", "StringValue": trace}
        entry["MessageSystemAttributes"] = {"AWSTraceHeader": attribute}
    if order is not None:
        entry["MessageGroupId"] = order.group
        entry["MessageDeduplicationId"] = order.deduplication_id
    return entry


def _chunks(entries: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    chunks: list[list[dict[str, Any]]] = []
    size = 0
    for entry in entries:
        entry_bytes = len(entry["MessageBody"].encode())
        full = not chunks or len(chunks[-1]) == _BATCH_ENTRIES or size + entry_bytes > _BATCH_BYTES
        if full:
            chunks.append([])
            size = 0
        chunks[-1].append(entry)
        size += entry_bytes
    return chunks


async def publish(
    events: "EventBridgeClient", bus: str, source: str, envelope: Envelope[Any]
) -> None:
    """Put one event on the bus; the envelope is the event's `detail`.

    Raises:
        TransientError: EventBridge did not take it (it answers 200 with a failed entry).
    """
    entry: PutEventsRequestEntryTypeDef = {
        "EventBusName": bus,
        "Source": source,
        "DetailType": envelope.type,
        "Detail": envelope.to_json(),
    }
    trace = trace_header(envelope.trace)
    if trace is not None:
        entry["TraceHeader"] = trace
    with aws_errors(f"publishing {envelope.type} on {bus}"):
        response = await events.put_events(Entries=[entry])
    if response["FailedEntryCount"]:
        reason = response["Entries"][0].get("ErrorMessage")
        raise TransientError(f"{bus} did not take {envelope.type}: {reason}")

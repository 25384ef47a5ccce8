from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts import CollectFolder, Envelope, Period
from shared.errors import TransientError
from shared.send import MessagesRefused, Order, publish, send_batch

Commands = list[tuple[Envelope[CollectFolder], Order | None]]


@dataclass
class FakeSqs:
    """Takes batches; `fails` names the entries of each call that are refused, first call first."""

    fails: list[set[str]] = field(default_factory=list)
    sender_fault: bool = False
    calls: list[list[str]] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)

    async def send_message_batch(self, *, QueueUrl: str, Entries: list[Any]) -> dict[str, Any]:  # noqa: N803  # the names of AWS
        del QueueUrl
        self.calls.append([entry["Id"] for entry in Entries])
        self.entries += Entries
        failing = self.fails.pop(0) if self.fails else set()
        return {
            "Failed": [
                {"Id": entry["Id"], "Code": "Busy", "SenderFault": self.sender_fault}
                for entry in Entries
                if entry["Id"] in failing
            ]
        }


def commands(count: int) -> Commands:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    payloads = [
        CollectFolder(dataset="call_reports", period=Period(2001 + n // 4, n % 4 + 1))
        for n in range(count)
    ]
    return [
        (Envelope[CollectFolder].wrap(p, run_id="run-1", trace=None, sent_at=at), None)
        for p in payloads
    ]


async def test_messages_go_in_batches_of_ten() -> None:
    sqs = FakeSqs()
    await send_batch(sqs, "queue", commands(23))  # type: ignore[arg-type]  # the one call that is used
    assert [len(call) for call in sqs.calls] == [10, 10, 3]


async def test_only_the_entries_that_failed_are_sent_again() -> None:
    sqs = FakeSqs(fails=[{"1", "3"}, {"3"}])
    await send_batch(sqs, "queue", commands(5))  # type: ignore[arg-type]  # the one call that is used
    assert sqs.calls == [["0", "1", "2", "3", "4"], ["1", "3"], ["3"]]


async def test_entries_that_never_get_through_are_an_error_to_retry() -> None:
    sqs = FakeSqs(fails=[{"0"}] * 4)
    with pytest.raises(TransientError, match="queue did not take 1 messages: Busy"):
        await send_batch(sqs, "queue", commands(1))  # type: ignore[arg-type]  # the one call that is used


async def test_entries_refused_for_the_senders_fault_are_not_sent_again() -> None:
    sqs = FakeSqs(fails=[{"0"}], sender_fault=True)
    with pytest.raises(MessagesRefused, match="queue refused 1 messages: Busy"):
        await send_batch(sqs, "queue", commands(2))  # type: ignore[arg-type]  # the one call that is used
    assert len(sqs.calls) == 1


class FakeBus:
    """Takes events."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    async def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803  # the names of AWS
        self.entries += Entries
        return {"FailedEntryCount": 0, "Entries": [{}]}


async def test_messages_and_events_carry_their_trace_where_aws_looks_for_it() -> None:
    sqs, bus = FakeSqs(), FakeBus()
    ((envelope, _),) = commands(1)
    own = envelope.model_copy(update={"trace": "my own"})

    await send_batch(sqs, "queue", [(envelope, None), (own, None)])  # type: ignore[arg-type]  # the one call that is used
    await publish(bus, "bus", "quarry.test", envelope)  # type: ignore[arg-type]  # the one call that is used
    await publish(bus, "bus", "quarry.test", own)  # type: ignore[arg-type]  # the one call that is used

    attribute = {"AWSTraceHeader": {"DataType": "String", "StringValue": envelope.trace}}
    assert [entry.get("MessageSystemAttributes") for entry in sqs.entries] == [attribute, None]
    assert [entry.get("TraceHeader") for entry in bus.entries] == [envelope.trace, None]

"""Parked messages of twelve kinds over all queues, as services and SQS leave them."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4, uuid5

from contracts import CollectFolder, Envelope, FolderComplete, LoadTable, Payload, Period, S3Object
from infra.names import Names, Service

NAMES = Names("local")
SENT_AT = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
DIGEST = "ab" * 32
_SPACE = UUID("00000000-0000-4000-8000-000000000007")


@dataclass(frozen=True)
class Parked:
    """One message to put into a dead-letter queue; no attributes: SQS redrove it."""

    service: Service
    body: str
    attributes: dict[str, str] = field(default_factory=dict)
    group: str | None = None


def envelope(payload: Payload, run_id: str = "night-run") -> str:
    return Envelope[Any].wrap(payload, run_id=run_id, trace=None, sent_at=SENT_AT).to_json()


def collect(period: Period) -> str:
    return envelope(CollectFolder(dataset="call_reports", period=period))


def folder(period: Period) -> str:
    prefix = f"raw/call_reports/{period}/night-run/"
    manifest = S3Object(bucket=NAMES.bucket, key=f"{prefix}_manifest.json", bytes=9, sha256=DIGEST)
    return envelope(
        FolderComplete(
            dataset="call_reports",
            period=period,
            prefix=prefix,
            manifest=manifest,
            files=49,
            bytes=46_000_000,
            collected_at=SENT_AT,
        )
    )


def load(period: Period, table: str = "rc", **changes: Any) -> str:
    return envelope(load_table(period, table, **changes))


def load_table(period: Period, table: str = "rc", **changes: Any) -> LoadTable:
    values: dict[str, Any] = {
        "dataset": "call_reports",
        "period": period,
        "period_end": period.end,
        "load_id": uuid5(_SPACE, f"{period}/{table}"),
        "table_schema": "call_reports",
        "table": table,
        "mode": "replace_period",
        "key": ("idrssd", "period_end"),
        "object": S3Object(
            bucket=NAMES.bucket,
            key=f"clean/call_reports/{period}/night-run/{table}.parquet",
            bytes=48_213,
            sha256=DIGEST,
        ),
        "rows": 5_000,
        "schema_fingerprint": DIGEST,
        "content_digest": DIGEST,
        "manifest_key": f"raw/call_reports/{period}/night-run/_manifest.json",
        "as_of": SENT_AT,
    }
    return LoadTable(**{**values, **changes})


def why(
    service: Service, error_type: str, reason: str, number: int, group: str | None = None
) -> dict[str, str]:
    """Return the attributes that `shared/inbox.py` writes."""
    found = {
        "reason": reason,
        "error_type": error_type,
        "fingerprint": hashlib.sha256(f"{service}/{error_type}".encode()).hexdigest()[:16],
        "traceback": f"Traceback (most recent call last):\n  …\n{error_type}: {reason}\n",
        "service": service,
        "parked_at": (SENT_AT + timedelta(minutes=number)).isoformat(),
        "original_message_id": str(uuid5(_SPACE, f"{service}/{number}")),
        "receive_count": "1",
    }
    return found | ({"group": group} if group else {})


def parked_messages(count: int) -> list[Parked]:
    """Return `count` messages, the twelve kinds in turn."""
    made = _endless()
    return [next(made) for _ in range(count)]


def _endless() -> Iterator[Parked]:
    number = 0
    # Each round takes another quarter, so that no two messages are the same.
    for quarter in Period(2001, 1).through(Period(2200, 4)):
        yield from _kinds(quarter, number)
        number += 12


def _kinds(period: Period, n: int) -> list[Parked]:
    request = json.dumps(
        {
            "dataset": "call_reports",
            "start_year": period.year,
            "start_quarter": period.quarter,
            "end_year": period.year,
            "end_quarter": period.quarter,
        }
    )
    table = "call_reports.rc"

    def one(service: Service, body: str, error: str, reason: str, group: str = "") -> Parked:
        attributes = why(service, error, reason, n, group or None)
        return Parked(service, body, attributes, group or None)

    return [
        one("generator", request, "InvalidRequest", f"{period} is in the future"),
        one("generator", f"{{{period}", "InvalidMessage", f"the body is not JSON: {period}"),
        one("collector", collect(period), "PeriodNotOffered", f"the page does not list {period}"),
        one("collector", collect(period), "PageChanged", "the control 'ListBox1' is gone"),
        one("collector", collect(period), "UnsafeArchive", f"member 7 of {period} is too large"),
        Parked("collector", collect(period)),
        one("processor", folder(period), "ManifestMismatch", f"RC {period}.txt: digest differs"),
        one("processor", folder(period), "RowsUnaccounted", f"{n} rows in, {n + 1} out"),
        one("processor", folder(period), "MemoryError", "<script>document.title='run'</script>"),
        one("loader", load(period), "SchemaMismatch", f"rcfd{n}: text in an int column", table),
        one("loader", load(period, "rcb"), "TransientError", f"lock after {n} s", f"{table}b"),
        Parked("loader", load(period, f"ri{n}"), group=f"call_reports.ri{n}"),
    ]


def park(sqs: Any, messages: list[Parked]) -> None:
    """Put the messages into the dead-letter queues, with a synchronous SQS client."""
    for number, message in enumerate(messages):
        queue = NAMES.dead_letter_queue(message.service)
        order: dict[str, str] = {}
        if queue.endswith(".fifo"):
            own = f"own-{number}" if message.attributes else message.group
            order = {
                "MessageGroupId": own or "none",
                "MessageDeduplicationId": uuid4().hex,
            }
        sqs.send_message(
            QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"],
            MessageBody=message.body,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in message.attributes.items()
            },
            **order,
        )

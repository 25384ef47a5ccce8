"""One parked message: what lies in a dead-letter queue, and what its attributes say about why."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from infra.names import Service

NOT_RECORDED = "no reason recorded (redriven by SQS)"
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|\b[0-9a-f-]{8,}\b|\d+")


@dataclass(frozen=True)
class Origin:
    """A dead-letter queue and whose messages lie in it.

    `events` marks the queue of events that the bus could not deliver: its bodies are whole
    EventBridge events, of which the service's queue takes the `detail`.
    """

    queue: str
    service: Service
    target: str
    events: bool = False

    @property
    def fifo(self) -> bool:
        """Whether the target keeps the order of each group."""
        return self.target.endswith(".fifo")


@dataclass(frozen=True)
class ParkedMessage:
    """A message as the last look saw it.

    `receive_count` counts receives from the dead-letter queue, looks included; `attributes` are
    the message attributes (`shared/inbox.py` writes them; EventBridge has its own).
    """

    queue: str
    service: Service
    message_id: str
    body: str
    sent_at: datetime
    expires_at: datetime
    receive_count: int
    group: str | None = None
    deduplication_id: str | None = None
    sequence: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    edited_body: str | None = None

    @property
    def reason(self) -> str:
        """Why it is here, one line."""
        found = self.attributes.get("reason") or self.attributes.get("ERROR_MESSAGE")
        return found or NOT_RECORDED

    @property
    def error_type(self) -> str:
        """Name of the error's class; `Redriven` when SQS moved the message and kept no reason."""
        return self.attributes.get("error_type") or self.attributes.get("ERROR_CODE") or "Redriven"

    @property
    def fingerprint(self) -> str:
        """Equal for errors of one kind raised at one place (see `shared.inbox.fingerprint`)."""
        return self.attributes.get("fingerprint") or digest(self.error_type, self.shape)

    @property
    def shape(self) -> str:
        """The reason without what differs from message to message."""
        return _VALUES.sub("…", self.reason)

    @property
    def kind(self) -> str:
        """Eight hex digits naming the group: error, service and dataset."""
        return digest(self.fingerprint, self.service, self.dataset or "")[:8]

    @property
    def traceback(self) -> str | None:
        """The end of the traceback, if the worker parked it."""
        return self.attributes.get("traceback")

    @property
    def parked_at(self) -> datetime:
        """When it came here."""
        text = self.attributes.get("parked_at")
        return datetime.fromisoformat(text) if text else self.sent_at

    @property
    def original_message_id(self) -> str:
        """The SQS id of the first message of the chain: parked, replayed, parked again."""
        return self.attributes.get("original_message_id", self.message_id)

    @property
    def replay_attempt(self) -> int:
        """How often it has been replayed before."""
        text = self.attributes.get("replay_attempt", "")
        return int(text) if text.isdecimal() else 0

    @property
    def order_group(self) -> str | None:
        """The FIFO group of the queue it came from.

        A worker parks each message in a group of its own, because SQS shows only the first ten
        of a group; a message that SQS redrove has kept its group.
        """
        return self.attributes.get("group") or self.group

    @property
    def payload_text(self) -> str:
        """The body as a replay would send it: edited where it was edited."""
        return self.body if self.edited_body is None else self.edited_body

    @cached_property
    def document(self) -> dict[str, Any] | None:
        """The body as JSON; None where it is not a JSON object."""
        return load_object(self.payload_text)

    @cached_property
    def payload(self) -> Mapping[str, Any]:
        """What the envelope carries, or the bare payload; empty where there is neither."""
        document = self.document or {}
        if "detail-type" in document and isinstance(document.get("detail"), dict):
            document = document["detail"]
        inner = document.get("payload", document)
        return inner if isinstance(inner, dict) else {}

    @property
    def dataset(self) -> str | None:
        """The dataset the payload names."""
        return self._text("dataset")

    @property
    def period(self) -> str | None:
        """The quarter the payload names, `2023Q1`."""
        return self._text("period")

    @property
    def table(self) -> str | None:
        """`schema.table` for a load."""
        schema, table = self._text("table_schema"), self._text("table")
        return f"{schema}.{table}" if schema and table else None

    @property
    def run_id(self) -> str | None:
        """The run it belongs to, where the body has an envelope."""
        found = (self.document or {}).get("run_id")
        return found if isinstance(found, str) else None

    def _text(self, name: str) -> str | None:
        found = self.payload.get(name)
        return found if isinstance(found, str) else None


def load_object(text: str) -> dict[str, Any] | None:
    """Read a JSON object; None for anything else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def digest(*parts: str) -> str:
    """Return the SHA-256 of the parts, in hex."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def message_from_sqs(
    raw: Mapping[str, Any], origin: Origin, *, retention_seconds: int
) -> ParkedMessage:
    """Read one entry of a ReceiveMessage response that asked for all attributes."""
    system = raw.get("Attributes", {})
    sent_at = datetime.fromtimestamp(int(system.get("SentTimestamp", "0")) / 1000, UTC)
    return ParkedMessage(
        queue=origin.queue,
        service=origin.service,
        message_id=raw["MessageId"],
        body=raw["Body"],
        sent_at=sent_at,
        expires_at=sent_at + timedelta(seconds=retention_seconds),
        receive_count=int(system.get("ApproximateReceiveCount", "1")),
        group=system.get("MessageGroupId"),
        deduplication_id=system.get("MessageDeduplicationId"),
        sequence=system.get("SequenceNumber"),
        attributes={
            name: value.get("StringValue", "")
            for name, value in raw.get("MessageAttributes", {}).items()
        },
    )

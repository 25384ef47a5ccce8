"""Parked messages in the lake: JSON lines under `ops/dlq/`, whole enough to replay from."""

import json
from collections.abc import Sequence
from typing import Protocol

from ops.dlq.message import ParkedMessage
from ops.dlq.store import message_of, record_of


class Objects(Protocol):
    """The part of the lake that archives need."""

    async def put(self, key: str, data: bytes) -> None:
        """Write one object."""

    async def get(self, key: str) -> bytes:
        """Read one object."""


def archive_key(deed: str, action_id: str) -> str:
    """Return where a deed's messages or plan are kept."""
    return f"ops/dlq/{deed}/{action_id}.jsonl"


async def write_archive(lake: Objects, key: str, messages: Sequence[ParkedMessage]) -> None:
    """Write one message a line, edits beside the original body."""
    lines = (json.dumps(record_of(message)) for message in messages)
    await lake.put(key, ("\n".join(lines) + "\n").encode())


async def read_archive(lake: Objects, key: str) -> list[ParkedMessage]:
    """Read what `write_archive` wrote."""
    data = await lake.get(key)
    return [message_of(json.loads(line)) for line in data.decode().splitlines() if line]

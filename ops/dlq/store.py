"""The local store: what looks have seen, edits, and the journal of replays, in one SQLite file."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.dlq.message import ParkedMessage

_TABLES = """
CREATE TABLE IF NOT EXISTS look (
    queue TEXT PRIMARY KEY, at TEXT NOT NULL, depth INTEGER NOT NULL, seen INTEGER NOT NULL,
    in_flight INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS message (
    queue TEXT NOT NULL, message_id TEXT NOT NULL, record TEXT NOT NULL, seen_at TEXT NOT NULL,
    edited_body TEXT, edited_at TEXT, gone_at TEXT, PRIMARY KEY (queue, message_id)
) STRICT;
"""


@dataclass(frozen=True)
class Look:
    """When a queue was last looked into, its depth then, and how many messages were seen.

    Fewer seen than deep means messages in flight, or behind the first ten of a FIFO group.
    """

    queue: str
    at: datetime
    depth: int
    seen: int
    in_flight: int


def open_database(path: Path) -> sqlite3.Connection:
    """Open the file so that a committed write survives a killed process and a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what happens inside, all or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


class Snapshots:
    """Messages by queue and id; one that is no longer in its queue is kept and marked as gone."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.executescript(_TABLES)

    def save(self, look: Look, messages: Iterable[ParkedMessage]) -> None:
        """Store one look; messages that a complete look did not see are marked as gone."""
        now = look.at.isoformat()
        with transaction(self._connection):
            self._connection.execute(
                "INSERT OR REPLACE INTO look VALUES (?, ?, ?, ?, ?)",
                (look.queue, now, look.depth, look.seen, look.in_flight),
            )
            self._connection.executemany(
                "INSERT INTO message (queue, message_id, record, seen_at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET record = excluded.record, seen_at = excluded.seen_at,"
                " gone_at = NULL",
                [(m.queue, m.message_id, _to_record(m), now) for m in messages],
            )
            if look.seen >= look.depth and not look.in_flight:
                self._connection.execute(
                    "UPDATE message SET gone_at = ?"
                    " WHERE queue = ? AND seen_at < ? AND gone_at IS NULL",
                    (now, look.queue, now),
                )

    def look(self, queue: str) -> Look | None:
        """Return when the queue was last looked into."""
        row = self._connection.execute("SELECT * FROM look WHERE queue = ?", (queue,)).fetchone()
        if row is None:
            return None
        return Look(**{**dict(row), "at": datetime.fromisoformat(row["at"])})

    def messages(self, queues: Sequence[str]) -> list[ParkedMessage]:
        """Return what is still parked in these queues, oldest first, edits applied."""
        rows = self._connection.execute(
            "SELECT record, edited_body FROM message"
            " WHERE gone_at IS NULL AND queue IN (SELECT value FROM json_each(?))",
            (json.dumps(list(queues)),),
        ).fetchall()
        found = [_from_record(row["record"], row["edited_body"]) for row in rows]
        return sorted(found, key=lambda m: (m.parked_at, m.sequence or "", m.message_id))

    def edit(self, message: ParkedMessage, body: str | None) -> ParkedMessage:
        """Keep `body` as what a replay sends; None goes back to the original."""
        now = datetime.now(UTC).isoformat()
        with transaction(self._connection):
            self._connection.execute(
                "UPDATE message SET edited_body = ?, edited_at = ?"
                " WHERE queue = ? AND message_id = ?",
                (body, now if body is not None else None, message.queue, message.message_id),
            )
        return replace(message, edited_body=body)

    def forget(self, queue: str, message_ids: Iterable[str]) -> None:
        """Mark messages as gone: they were replayed or purged."""
        now = datetime.now(UTC).isoformat()
        with transaction(self._connection):
            self._connection.executemany(
                "UPDATE message SET gone_at = ? WHERE queue = ? AND message_id = ?",
                [(now, queue, message_id) for message_id in message_ids],
            )


def record_of(message: ParkedMessage) -> dict[str, Any]:
    """Return the message as JSON values, for the store and for archives."""
    found = asdict(message)
    return found | {
        "sent_at": message.sent_at.isoformat(),
        "expires_at": message.expires_at.isoformat(),
    }


def message_of(record: dict[str, Any]) -> ParkedMessage:
    """Read what `record_of` wrote."""
    return ParkedMessage(
        **{
            **record,
            "sent_at": datetime.fromisoformat(record["sent_at"]),
            "expires_at": datetime.fromisoformat(record["expires_at"]),
        }
    )


def _to_record(message: ParkedMessage) -> str:
    return json.dumps(record_of(replace(message, edited_body=None)))


def _from_record(text: str, edited_body: str | None) -> ParkedMessage:
    return replace(message_of(json.loads(text)), edited_body=edited_body)

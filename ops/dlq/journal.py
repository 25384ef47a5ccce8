"""What a replay or purge intends and how far it is, so that a killed one can be taken up again."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, cast

from ops.dlq.queues import Outgoing
from ops.dlq.store import transaction

ActionKind = Literal["replay", "purge"]
# planned → sending → sent → done; a purge goes from planned to sent when the archive is written.
ItemState = Literal["planned", "sending", "sent", "done", "refused", "held_back", "gone"]
OPEN: tuple[ItemState, ...] = ("planned", "sending", "sent")

_TABLES = """
CREATE TABLE IF NOT EXISTS action (
    action_id TEXT PRIMARY KEY, kind TEXT NOT NULL, started_at TEXT NOT NULL,
    finished_at TEXT, who TEXT NOT NULL, why TEXT NOT NULL, audit_key TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS item (
    action_id TEXT NOT NULL REFERENCES action, position INTEGER NOT NULL, queue TEXT NOT NULL,
    target TEXT NOT NULL, message_id TEXT NOT NULL, order_group TEXT, outgoing TEXT NOT NULL,
    archived INTEGER NOT NULL, state TEXT NOT NULL, receipt TEXT, new_message_id TEXT, reason TEXT,
    PRIMARY KEY (action_id, position)
) STRICT;
CREATE INDEX IF NOT EXISTS item_by_message ON item (queue, message_id);
"""


class AlreadyUnderWay(ValueError):
    """Another unfinished replay or purge has one of these messages; the sentence names it."""


@dataclass(frozen=True)
class Action:
    """One replay or purge; `audit_key` leads to its audit entry."""

    action_id: str
    kind: ActionKind
    started_at: datetime
    who: str
    why: str
    audit_key: str
    finished_at: datetime | None = None


@dataclass(frozen=True)
class Item:
    """One message of an action. `archived` ones need not be in the queue any more."""

    position: int
    queue: str
    target: str
    message_id: str
    outgoing: Outgoing
    order_group: str | None = None
    archived: bool = False
    state: ItemState = "planned"
    receipt: str | None = None
    new_message_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Tally:
    """How many items of an action are in which state."""

    by_state: dict[ItemState, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All items."""
        return sum(self.by_state.values())

    @property
    def open(self) -> int:
        """Items that still need work."""
        return sum(self.by_state.get(state, 0) for state in OPEN)

    @property
    def ended(self) -> int:
        """Items that need none."""
        return self.total - self.open


class Journal:
    """Actions and their items; each call is one durable transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.executescript(_TABLES)

    def begin(self, action: Action, items: Sequence[Item]) -> None:
        """Write the whole intention before anything is done.

        A message that an earlier replay has sent but not deleted is only deleted by this one.

        Raises:
            AlreadyUnderWay: an unfinished action has one of the messages.
        """
        with transaction(self._connection):
            for item in items:
                self._refuse_if_taken(item)
            self._connection.execute(
                "INSERT INTO action VALUES (?, ?, ?, NULL, ?, ?, ?)",
                (
                    action.action_id,
                    action.kind,
                    action.started_at.isoformat(),
                    action.who,
                    action.why,
                    action.audit_key,
                ),
            )
            for item in items:
                state = "sent" if self._was_sent(item) else item.state
                self._connection.execute(
                    "INSERT INTO item (action_id, position, queue, target, message_id, order_group,"
                    " outgoing, archived, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        action.action_id,
                        item.position,
                        item.queue,
                        item.target,
                        item.message_id,
                        item.order_group,
                        json.dumps(vars(item.outgoing)),
                        int(item.archived),
                        state,
                    ),
                )

    def action(self, action_id: str) -> Action | None:
        """Look an action up by its id or the beginning of it."""
        row = self._connection.execute(
            "SELECT * FROM action WHERE substr(action_id, 1, ?) = ? ORDER BY started_at DESC",
            (len(action_id), action_id),
        ).fetchone()
        return None if row is None else _action(row)

    def unfinished(self) -> list[Action]:
        """Return actions that were begun and not ended, the oldest first."""
        rows = self._connection.execute(
            "SELECT * FROM action WHERE finished_at IS NULL ORDER BY started_at"
        )
        return [_action(row) for row in rows]

    def items(self, action_id: str, *, queue: str | None = None) -> list[Item]:
        """Return an action's items in their order."""
        rows = self._connection.execute(
            "SELECT * FROM item WHERE action_id = ? AND (? IS NULL OR queue = ?) ORDER BY position",
            (action_id, queue, queue),
        )
        return [_item(row) for row in rows]

    def tally(self, action_id: str) -> Tally:
        """Count an action's items by state."""
        rows = self._connection.execute(
            "SELECT state, count(*) AS n FROM item WHERE action_id = ? GROUP BY state", (action_id,)
        )
        return Tally({cast("ItemState", row["state"]): row["n"] for row in rows})

    def hold(self, action_id: str, receipts: Mapping[int, str | None]) -> None:
        """Remember the receipts, by position, so that a later process can use them."""
        with transaction(self._connection):
            self._connection.executemany(
                "UPDATE item SET receipt = ? WHERE action_id = ? AND position = ?",
                [(receipt, action_id, position) for position, receipt in receipts.items()],
            )

    def mark(
        self,
        action_id: str,
        items: Iterable[Item],
        state: ItemState,
        *,
        new_message_ids: dict[int, str] | None = None,
        reason: str | None = None,
    ) -> None:
        """Move items to `state`; new message ids come by position."""
        new_ids = new_message_ids or {}
        with transaction(self._connection):
            self._connection.executemany(
                "UPDATE item SET state = ?, new_message_id = coalesce(?, new_message_id),"
                " reason = coalesce(?, reason) WHERE action_id = ? AND position = ?",
                [
                    (state, new_ids.get(item.position), reason, action_id, item.position)
                    for item in items
                ],
            )

    def finish(self, action_id: str) -> None:
        """Say that nothing is left to do."""
        with transaction(self._connection):
            self._connection.execute(
                "UPDATE action SET finished_at = ? WHERE action_id = ?",
                (datetime.now(UTC).isoformat(), action_id),
            )

    def _refuse_if_taken(self, item: Item) -> None:
        row = self._connection.execute(
            "SELECT action_id, kind FROM item JOIN action USING (action_id) WHERE queue = ?"
            " AND message_id = ? AND finished_at IS NULL"
            " AND state IN ('planned', 'sending', 'sent')",
            (item.queue, item.message_id),
        ).fetchone()
        if row is not None:
            raise AlreadyUnderWay(
                f"message {item.message_id} belongs to {row['kind']} {row['action_id'][:8]}, "
                f"which is not finished: run `quarry dlq resume {row['action_id'][:8]}` first"
            )

    def _was_sent(self, item: Item) -> bool:
        row = self._connection.execute(
            "SELECT 1 FROM item JOIN action USING (action_id) WHERE queue = ? AND message_id = ?"
            " AND kind = 'replay' AND state IN ('sent', 'done')",
            (item.queue, item.message_id),
        ).fetchone()
        return row is not None


def _action(row: sqlite3.Row) -> Action:
    finished = row["finished_at"]
    return Action(
        action_id=row["action_id"],
        kind=row["kind"],
        started_at=datetime.fromisoformat(row["started_at"]),
        who=row["who"],
        why=row["why"],
        audit_key=row["audit_key"],
        finished_at=datetime.fromisoformat(finished) if finished else None,
    )


def _item(row: sqlite3.Row) -> Item:
    return Item(
        position=row["position"],
        queue=row["queue"],
        target=row["target"],
        message_id=row["message_id"],
        order_group=row["order_group"],
        outgoing=Outgoing(**json.loads(row["outgoing"])),
        archived=bool(row["archived"]),
        state=row["state"],
        receipt=row["receipt"],
        new_message_id=row["new_message_id"],
        reason=row["reason"],
    )

"""The order of FIFO groups: what a late replay would put behind its time."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from contracts import InvalidMessage, LoadTable, open_envelope
from ops.dlq.message import ParkedMessage


@dataclass(frozen=True)
class AppliedLoad:
    """A load that is in the ledger."""

    load_id: UUID
    run_id: str
    period: str | None
    as_of: datetime


def load_of(message: ParkedMessage) -> LoadTable | None:
    """Return the load a message asks for, if it is one the loader would read."""
    if message.service != "loader":
        return None
    try:
        return open_envelope(message.payload_text, LoadTable).payload
    except InvalidMessage:
        return None


def newer_load(load: LoadTable, applied: Iterable[AppliedLoad]) -> AppliedLoad | None:
    """Return the newest applied load of the same table that `load` should have preceded.

    Quarters of a table that is replaced by quarter do not depend on each other.
    """
    period = str(load.period) if load.period else None
    later = [
        other
        for other in applied
        if other.load_id != load.load_id
        and other.as_of > load.as_of
        and (load.mode != "replace_period" or other.period == period)
    ]
    return max(later, key=lambda other: other.as_of, default=None)


def left_behind(
    message: ParkedMessage, parked: Iterable[ParkedMessage], selected: Collection[str]
) -> ParkedMessage | None:
    """Return an earlier parked message of the same FIFO group that is not to be replayed."""
    load = load_of(message)
    for other in parked:
        if other.message_id in selected or other.order_group != message.order_group:
            continue
        before = (other.parked_at, other.sequence or "") < (
            message.parked_at,
            message.sequence or "",
        )
        if before and _depend(load, load_of(other)):
            return other
    return None


def _depend(load: LoadTable | None, other: LoadTable | None) -> bool:
    if load is None or other is None:
        return True
    return load.mode != "replace_period" or load.period == other.period

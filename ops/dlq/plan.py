"""What a replay would do, before it does it."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID, uuid4

from pydantic import AwareDatetime, Field

from contracts import LoadTable
from contracts.model import Contract
from infra.names import Service
from ops.dlq.edit import contract_problem
from ops.dlq.message import Origin, ParkedMessage, load_object
from ops.dlq.order import AppliedLoad, left_behind, load_of, newer_load
from shared.errors import QuarryError


class RowDifference(Contract):
    """What a load would do to its table; `outcome` as the ledger would have it."""

    outcome: str
    rows: int = Field(description="In the Parquet object.")
    inserted: int
    updated: int
    deleted: int


class PlannedMessage(Contract):
    """One message of a plan; `body_sha256` is of the body a replay would send."""

    queue: str
    target: str
    service: Service
    message_id: str
    body_sha256: str
    edited: bool = False
    dataset: str | None = None
    period: str | None = None
    table: str | None = None
    order_group: str | None = None
    problem: str | None = Field(default=None, description="Why its service would refuse it.")
    load_id: UUID | None = None
    in_ledger: bool | None = Field(default=None, description="None: not a load, or not known.")
    order_risk: str | None = None
    difference: RowDifference | None = None
    unknown: str | None = Field(default=None, description="What could not be found out, and why.")

    @property
    def effect(self) -> str:
        """One sentence for people."""
        if self.problem:
            return f"left where it is: {self.problem}"
        if self.in_ledger:
            return "no effect: its load is in the ledger already"
        if self.difference and self.difference.outcome != "loaded":
            return f"no rows change: the loader would call it {self.difference.outcome}"
        if self.difference:
            one = self.difference
            return f"+{one.inserted} ~{one.updated} -{one.deleted} rows in {self.table}"
        return f"runs again through {self.service}" + (f" ({self.unknown})" if self.unknown else "")


class Plan(Contract):
    """A replay as proposed: these messages, in this order, and no others."""

    plan_id: str
    env: str
    made_at: AwareDatetime
    selection: str
    messages: tuple[PlannedMessage, ...]

    @property
    def replayable(self) -> list[PlannedMessage]:
        """What a replay would send."""
        return [message for message in self.messages if message.problem is None]

    @property
    def risks(self) -> list[PlannedMessage]:
        """Messages whose FIFO order would be broken."""
        return [message for message in self.replayable if message.order_risk]


class Ledger(Protocol):
    """What the plan asks the database."""

    async def is_in(self, load_id: UUID) -> bool:
        """Say whether a load has been done."""

    async def applied(self, schema: str, table: str) -> Sequence[AppliedLoad]:
        """Return the loads of a table that are in place."""


TryLoad = Callable[[LoadTable], Awaitable[RowDifference]]


@dataclass(frozen=True)
class Foresight:
    """What is asked about loads. `try_load` None: rows are not compared."""

    ledger: Ledger
    try_load: TryLoad | None = None


async def make_plan(
    selected: Sequence[ParkedMessage],
    *,
    parked: Sequence[ParkedMessage],
    origins: Mapping[str, Origin],
    foresight: Foresight | None,
    env: str,
    selection: str,
) -> Plan:
    """Say for each selected message what its replay would do; nothing is changed.

    `parked` is everything in the same queues; with no `foresight` (the database cannot be
    reached) loads are planned without it, and each says so.
    """
    ids = {message.message_id for message in selected}
    planned = [
        await _plan_one(message, origins[message.queue], parked, ids, foresight)
        for message in selected
    ]
    return Plan(
        plan_id=str(uuid4()),
        env=env,
        made_at=datetime.now(UTC),
        selection=selection,
        messages=tuple(planned),
    )


def outgoing_body(message: ParkedMessage, origin: Origin) -> str:
    """Return what a replay sends: of an undelivered event, its detail."""
    if not origin.events or message.edited_body is not None:
        return message.payload_text
    detail = (load_object(message.body) or {}).get("detail")
    return message.body if detail is None else json.dumps(detail)


def body_digest(body: str) -> str:
    """Return the SHA-256 of a body, in hex."""
    return hashlib.sha256(body.encode()).hexdigest()


async def _plan_one(
    message: ParkedMessage,
    origin: Origin,
    parked: Sequence[ParkedMessage],
    selected: set[str],
    foresight: Foresight | None,
) -> PlannedMessage:
    body = outgoing_body(message, origin)
    load = load_of(message)
    planned = PlannedMessage(
        queue=message.queue,
        target=origin.target,
        service=message.service,
        message_id=message.message_id,
        body_sha256=body_digest(body),
        edited=message.edited_body is not None,
        dataset=message.dataset,
        period=message.period,
        table=message.table,
        order_group=message.order_group if origin.fifo else None,
        problem=contract_problem(message.service, body),
        load_id=load.load_id if load else None,
    )
    if not origin.fifo or planned.problem:
        return planned
    risk = None
    earlier = left_behind(message, [m for m in parked if m.queue == message.queue], selected)
    if earlier is not None:
        risk = (
            f"message {earlier.message_id[:8]} of group {message.order_group} was parked before it "
            "and is not part of this replay"
        )
    found = await _foresee(load, foresight) if load else {}
    if risk and not found.get("order_risk"):
        found["order_risk"] = risk
    return planned.model_copy(update=found)


async def _foresee(load: LoadTable, foresight: Foresight | None) -> dict[str, object]:
    if foresight is None:
        return {"unknown": "the database was not asked"}
    found: dict[str, object] = {}
    try:
        if await foresight.ledger.is_in(load.load_id):
            return {"in_ledger": True}
        found["in_ledger"] = False
        newer = newer_load(load, await foresight.ledger.applied(load.table_schema, load.table))
        if newer is not None:
            found["order_risk"] = (
                f"load {newer.load_id} of run {newer.run_id}, as of {newer.as_of:%Y-%m-%d %H:%M}, "
                f"is newer than this one ({load.as_of:%Y-%m-%d %H:%M}) and already in the table"
            )
        if foresight.try_load is not None:
            found["difference"] = await foresight.try_load(load)
    except QuarryError as error:
        found["unknown"] = f"{type(error).__name__}: {error}"
    return found

"""The workbench: the parts that look, plan and act on one environment's dead-letter queues."""

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from contracts import LoadTable
from ops.access import Access
from ops.dlq.archive import Objects
from ops.dlq.audit import AuditTrail, DynamoAuditTrail
from ops.dlq.filters import Filter, select
from ops.dlq.foresight import LedgerOfAll, try_load
from ops.dlq.journal import Journal
from ops.dlq.look import look_into
from ops.dlq.message import Origin, ParkedMessage
from ops.dlq.plan import Foresight, Plan, RowDifference, make_plan
from ops.dlq.queues import DeadLetterQueues, SqsDeadLetters
from ops.dlq.store import Look, Snapshots, open_database


class Busy(RuntimeError):
    """Another process on this machine is replaying or purging."""


@dataclass(frozen=True)
class Workbench:
    """One environment's dead-letter queues, with the local store beside them.

    `lease_seconds` is how long a message in hand is kept from others, renewed before each send.
    """

    env: str
    who: str
    queues: DeadLetterQueues
    snapshots: Snapshots
    journal: Journal
    lake: Objects
    audit: AuditTrail
    foresight: Foresight | None
    lock: Path
    lease_seconds: int = 120

    async def look(self, *, max_age: timedelta = timedelta(0)) -> list[Look]:
        """Look into every queue that was not looked into within `max_age`."""
        return await look_into(
            await self.queues.origins(),
            queues=self.queues,
            snapshots=self.snapshots,
            newer_than=datetime.now(UTC) - max_age if max_age else None,
        )

    async def origins(self) -> dict[str, Origin]:
        """Return the dead-letter queues by name."""
        return {origin.queue: origin for origin in await self.queues.origins()}

    async def parked(self, wanted: Filter | None = None) -> list[ParkedMessage]:
        """Return what the last looks saw, oldest first.

        Raises:
            InvalidFilter: the body expression does not parse.
        """
        messages = self.snapshots.messages(list(await self.origins()))
        return messages if wanted is None else select(messages, wanted)

    async def plan(
        self, messages: Sequence[ParkedMessage], *, selection: str, rows: bool = True
    ) -> Plan:
        """Say what a replay of `messages` would do; `rows` False leaves out the trial loads."""
        foresight = self.foresight
        if foresight is not None and not rows:
            foresight = Foresight(foresight.ledger)
        origins: Mapping[str, Origin] = await self.origins()
        return await make_plan(
            messages,
            parked=await self.parked(),
            origins=origins,
            foresight=foresight,
            env=self.env,
            selection=selection,
        )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other replays and purges of this store out.

        Raises:
            Busy: one is at work.
        """
        with self.lock.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy("another replay or purge is at work on this machine; wait") from None
            yield


async def _try_load(access: Access, load: LoadTable) -> RowDifference:
    database = await access.database_named(load.database)
    return await try_load(load, lake=access.lake, database=database)


@contextmanager
def open_workbench(access: Access, folder: Path) -> Iterator[Workbench]:
    """Open the workbench; its store is `dlq-{env}-{account}.sqlite` in `folder`."""
    names = access.names
    path = folder / f"dlq-{names.env}-{names.account}.sqlite"
    with closing(open_database(path)) as connection:
        foresight = None
        if access.database is not None:
            foresight = Foresight(LedgerOfAll(access.every_database), partial(_try_load, access))
        yield Workbench(
            env=names.env,
            who=access.who,
            queues=SqsDeadLetters(access.clients.sqs, names),
            snapshots=Snapshots(connection),
            journal=Journal(connection),
            lake=access.lake,
            audit=DynamoAuditTrail(access.clients.dynamodb, names.runs_table),
            foresight=foresight,
            lock=path.with_suffix(".lock"),
        )

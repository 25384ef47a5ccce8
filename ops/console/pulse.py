"""What the live page shows, read again and again while somebody looks."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

from contracts import StepRecord
from infra.names import SERVICES, Service
from ops.access import Access
from ops.console.cloudwatch import CloudWatch, Reading
from ops.console.drawing import Growth
from ops.console.picture import Depths
from ops.dlq.queues import DeadLetterQueues
from ops.runs import Run, read_steps, runs_of
from services.loader.postgres import Database
from shared.errors import QuarryError
from shared.log import log

_GROWTHS = 60
_READ_AT_ONCE = 5_000


def rest_seconds(steps: int) -> float:
    """Return how long to wait before so many steps are read again: each reading reads them all.

    DynamoDB charges for what is read; a year of hourly runs is more than a hundred thousand steps.
    """
    return 0.0 if steps <= _READ_AT_ONCE else steps / 1000


@dataclass(frozen=True)
class Moment:
    """Everything the live page shows, read at one time."""

    at: datetime
    depths: dict[Service, Depths]
    steps: tuple[StepRecord, ...]
    growths: tuple[Growth, ...]
    reading: Reading

    @property
    def runs(self) -> list[Run]:
        """The runs, newest first."""
        return runs_of(self.steps)


@dataclass
class Pulse:
    """Reads once for all listeners, and only while there are any."""

    access: Access
    queues: DeadLetterQueues
    cloudwatch: CloudWatch
    every_seconds: float = 1.0
    _latest: Moment | None = None
    _steps: tuple[StepRecord, ...] = ()
    _steps_due: float = 0.0
    _listeners: set[asyncio.Queue[Moment]] = field(default_factory=set)
    _beating: asyncio.Task[None] | None = None

    async def now(self) -> Moment:
        """Read everything at once."""
        self._latest = await self._read()
        return self._latest

    async def beats(self) -> AsyncIterator[Moment]:
        """Yield a moment now and then every second, until the listener goes."""
        own: asyncio.Queue[Moment] = asyncio.Queue(maxsize=1)
        self._listeners.add(own)
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._beat())
        try:
            while True:
                yield await own.get()
        finally:
            self._listeners.discard(own)

    async def stop(self) -> None:
        """End the reading."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)

    async def _beat(self) -> None:
        while self._listeners:
            try:
                moment = await self.now()
            except* QuarryError as errors:
                log.warning("console_not_updated", reason=str(errors.exceptions[0]))
            else:
                for listener in self._listeners:
                    if not listener.full():  # a slow browser gets the next one
                        listener.put_nowait(moment)
            await asyncio.sleep(self.every_seconds)

    async def _read(self) -> Moment:
        async with asyncio.TaskGroup() as group:
            steps = group.create_task(self._read_steps())
            growths = group.create_task(self._growths())
            reading = group.create_task(self.cloudwatch.read())
            depths = {service: group.create_task(self._depths(service)) for service in SERVICES}
        return Moment(
            at=datetime.now(UTC),
            depths={service: task.result() for service, task in depths.items()},
            steps=steps.result(),
            growths=tuple(growths.result()),
            reading=reading.result(),
        )

    async def _read_steps(self) -> tuple[StepRecord, ...]:
        if monotonic() >= self._steps_due:
            table = self.access.names.runs_table
            self._steps = tuple(await read_steps(self.access.clients.dynamodb, table))
            self._steps_due = monotonic() + rest_seconds(len(self._steps))
        return self._steps

    async def _depths(self, service: Service) -> Depths:
        names = self.access.names
        queue, dead = await asyncio.gather(
            self.queues.depth(names.queue(service)),
            self.queues.depth(names.dead_letter_queue(service)),
        )
        return Depths(queue.waiting, queue.in_flight, dead.waiting + dead.in_flight)

    async def _growths(self) -> list[Growth]:
        if self.access.database is None:
            return []
        every = await self.access.every_database()
        found = [growth for database in every for growth in await _growths_in(database)]
        return sorted(found, key=lambda growth: -max(growth.rows))[:_GROWTHS]


async def _growths_in(database: Database) -> list[Growth]:
    async with database.connection() as connection:
        if not await connection.fetchval("SELECT to_regclass('quarry.load') IS NOT NULL"):
            return []
        rows = await connection.fetch(
            "SELECT table_schema, table_name,"
            " array_agg(loaded_at ORDER BY loaded_at) AS moments,"
            " array_agg(total ORDER BY loaded_at) AS rows FROM (SELECT *,"
            " sum(inserted - removed) OVER (PARTITION BY table_schema, table_name"
            " ORDER BY loaded_at)::bigint AS total FROM quarry.load) AS l"
            " GROUP BY 1, 2 ORDER BY max(total) DESC, 1, 2 LIMIT $1",
            _GROWTHS,
        )
    return [
        Growth(row["table_schema"], row["table_name"], tuple(row["moments"]), tuple(row["rows"]))
        for row in rows
    ]

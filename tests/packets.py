"""A polled database for tests: gatherer, books and counters over fakes that keep state."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import asyncpg

from contracts import DatabaseSource, Dataset, Manifest
from contracts.datasets.totesys import DATASET
from services.collector.sources.database import DatabaseGatherer
from services.collector.sources.packet_books import PacketBooks
from services.collector.sources.source import Order
from shared.errors import TransientError
from tests.fakes import FakeLake

START = datetime(2026, 11, 21, 9, tzinfo=UTC)


@dataclass
class FakeCounters:
    """Packet numbers as a dict; `fail_times` first writes fail as if SSM were away."""

    last: dict[str, int] = field(default_factory=dict)
    fail_times: int = 0

    async def last_packet(self, table: str) -> int:
        return self.last.get(table, 0)

    async def set_last_packet(self, table: str, packet_id: int) -> None:
        if self.fail_times:
            self.fail_times -= 1
            raise TransientError("SSM is not reachable")
        assert packet_id == self.last.get(table, 0) + 1
        self.last[table] = packet_id


@dataclass
class TickingClock:
    """A clock that moves on by a second each time it is asked."""

    moment: datetime = START

    def __call__(self) -> datetime:
        self.moment += timedelta(seconds=1)
        return self.moment


@dataclass
class Polled:
    """One source database and everything a run of the collector needs to poll it."""

    url: str
    tables: tuple[str, ...]
    lake: FakeLake = field(default_factory=FakeLake)
    counters: FakeCounters = field(default_factory=FakeCounters)
    now: Callable[[], datetime] = field(default_factory=TickingClock)

    @property
    def dataset(self) -> Dataset:
        source = DatabaseSource(tables=self.tables)
        return DATASET.model_copy(update={"source": source})

    @property
    def gatherer(self) -> DatabaseGatherer:
        async def connect(dataset: str) -> "asyncpg.Connection[asyncpg.Record]":
            assert dataset == "totesys"
            return await asyncpg.connect(self.url)

        def open_books(dataset: str, source: DatabaseSource) -> PacketBooks:
            assert source.tables
            return PacketBooks(dataset, self.lake, self.counters)

        return DatabaseGatherer(connect, open_books, self.lake, self.now)

    async def gather(self, run_id: str) -> Manifest | None:
        return await self.gatherer.gather(Order(self.dataset, run_id, f"raw/totesys/all/{run_id}/"))

    async def settle(self, manifest: Manifest) -> Manifest:
        return await self.gatherer.settle(manifest)

    async def poll(self, run_id: str) -> list[bytes]:
        """Run from end to end; return the rows of all packets as JSON lines."""
        manifest = await self.gather(run_id)
        if manifest is None:
            return []
        settled = await self.settle(manifest)
        return [
            line
            for file in settled.files
            for line in self.lake.objects[file.key].splitlines(keepends=True)
        ]

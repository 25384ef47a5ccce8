"""Many processors finish at once: loads of one table keep their order, tables go side by side."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from contracts import LoadTable
from services.loader import credentials
from services.loader.exactly_once import load_parquet
from services.loader.postgres import Connection, Database
from services.loader.table_lock import Limits, take_turn
from tests.loads import FIRST, LIMITS, PROVENANCE, bank_rows, write

_TABLES, _PROCESSORS, _LOADERS = 12, 32, 4
_QUARTERS = [f"{year}Q{quarter}" for year in range(2013, 2021) for quarter in (1, 2, 3, 4)]
_BLOCKED = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'ClientWrite')"


def ordered(folder: Path) -> list[LoadTable]:
    """One load per processor and table; each processor has a quarter of its own."""
    return [
        write(
            folder / f"{table}-{processor}",
            bank_rows({1: processor, 2: table}, period=_QUARTERS[processor]),
            name=f"t{table}",
            period=_QUARTERS[processor],
            as_of=FIRST + timedelta(days=processor),
        )
        for processor in range(_PROCESSORS)
        for table in range(_TABLES)
    ]


@asynccontextmanager
async def loaders(url: str, count: int) -> AsyncIterator[list[Database]]:
    """Independent loaders, each with its own connections as separate processes have."""
    async with (
        Database.open(credentials.fixed(url), connections=2) as one,
        Database.open(credentials.fixed(url), connections=2) as two,
        Database.open(credentials.fixed(url), connections=2) as three,
        Database.open(credentials.fixed(url), connections=2) as four,
    ):
        yield [one, two, three, four][:count]


async def drain(database: Database, folder: Path, queue: list[LoadTable]) -> None:
    while queue:
        declaration = queue.pop(0)
        path = folder / declaration.object.key.removeprefix("clean/")
        async with database.connection() as connection:
            await load_parquet(connection, path, declaration, PROVENANCE, LIMITS)


async def test_loaders_without_a_queue_order_lose_and_double_nothing(
    ledger_connection: Connection, database_url: str, tmp_path: Path
) -> None:
    queue = ordered(tmp_path)
    async with loaders(database_url, _LOADERS) as started:
        await asyncio.gather(*(drain(loader, tmp_path, queue) for loader in started * 2))

    for table in range(_TABLES):
        row = await ledger_connection.fetchrow(
            "SELECT count(*), sum(rcfd2170) FILTER (WHERE idrssd = 1) AS processors"  # noqa: S608  # names of this test
            f" FROM call_reports.t{table}"
        )
        assert tuple(row or ()) == (2 * _PROCESSORS, sum(range(_PROCESSORS)))
    loads = "SELECT count(*) FROM quarry.load WHERE outcome = 'loaded'"
    assert await ledger_connection.fetchval(loads) == _TABLES * _PROCESSORS


async def test_tables_are_loaded_side_by_side(
    ledger_connection: Connection, database_url: str, tmp_path: Path
) -> None:
    first = write(tmp_path / "a", bank_rows({1: 1}), name="held")
    other = write(tmp_path / "b", bank_rows({1: 1}), name="free")
    await load_parquet(ledger_connection, tmp_path / "a", first, PROVENANCE, LIMITS)
    holder = await asyncpg.connect(database_url)
    try:
        await holder.execute("BEGIN; LOCK TABLE call_reports.held IN ACCESS EXCLUSIVE MODE")

        loaded = await load_parquet(ledger_connection, tmp_path / "b", other, PROVENANCE, LIMITS)
    finally:
        await holder.close()

    assert loaded.outcome == "loaded"


async def add_totals(connection: Connection, tables: Sequence[int]) -> None:
    """The naive way: one transaction per processor over its tables, in the order they came."""
    async with connection.transaction():
        for table in tables:
            await connection.execute(f"UPDATE naive{table} SET total = total + 1")  # noqa: S608  # names of this test
            await asyncio.sleep(0.05)


async def test_the_naive_way_deadlocks(ledger_connection: Connection, database_url: str) -> None:
    for table in (0, 1):
        await ledger_connection.execute(f"CREATE TABLE naive{table} AS SELECT 0 AS total")
    workers = [await asyncpg.connect(database_url) for _ in range(2)]
    try:
        ends = await asyncio.gather(
            add_totals(workers[0], (0, 1)), add_totals(workers[1], (1, 0)), return_exceptions=True
        )
    finally:
        for worker in workers:
            await worker.close()

    assert sum(isinstance(end, asyncpg.DeadlockDetectedError) for end in ends) == 1


async def test_a_load_that_sleeps_while_the_server_sends_to_it_loses_its_turn(
    ledger_connection: Connection, database_url: str
) -> None:
    limits = replace(LIMITS, statement_seconds=0.5)
    awake = asyncio.Event()

    async def sleep(_: bytes) -> None:
        await awake.wait()

    sleeper = await asyncpg.connect(database_url)
    asleep = asyncio.create_task(_read_all(sleeper, limits, sleep))
    try:
        for _ in range(500):
            if await ledger_connection.fetchval(_BLOCKED):
                break
            await asyncio.sleep(0.02)
        else:
            pytest.fail("the server never waited for the sleeper")

        async with ledger_connection.transaction():
            await take_turn(ledger_connection, "call_reports", "rc", limits)
    finally:
        awake.set()
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await asleep
        await sleeper.close()


async def _read_all(
    connection: Connection, limits: Limits, output: Callable[[bytes], Coroutine[None, None, None]]
) -> None:
    async with connection.transaction():
        await take_turn(connection, "call_reports", "rc", limits)
        await connection.copy_from_query(
            "SELECT repeat('x', 1000) FROM generate_series(1, 100000)", output=output
        )

"""Loads, planned and replayed: the row difference is true, and no row is doubled."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from contracts import Envelope, LoadComplete, LoadTable, open_envelope
from ops.dlq import deeds
from ops.dlq.replay import Pace
from ops.dlq.workbench import Workbench
from services.loader import credentials, ledger
from services.loader.load import load
from services.loader.postgres import Connection, Database
from shared.lake import Lake
from tests.dlq_bench import Queues, bench_at
from tests.loads import FIRST, LIMITS, bank_rows, enveloped, write
from tests.parked import Parked, park, why

GROUP = "call_reports.rc"
BEFORE = {1: 100, 2: 200, 3: 300}
# One bank gone, one changed, one the same, two new.
AFTER = {2: 222, 3: 300, 4: 400, 5: 500}


@pytest.fixture
def queues(emulator_url: str) -> Queues:
    found = Queues.at(emulator_url)
    found.empty()
    return found


@pytest.fixture
async def bench(emulator_url: str, database_url: str, tmp_path: Path) -> AsyncIterator[Workbench]:
    async with bench_at(emulator_url, tmp_path, DATABASE_URL=database_url) as opened:
        yield opened


@pytest.fixture
async def database(database_url: str, ledger_connection: Connection) -> AsyncIterator[Database]:
    await ledger.prepare(ledger_connection)
    async with Database.open(credentials.fixed(database_url), connections=2) as opened:
        yield opened


async def stored(bench: Workbench, folder: Path, assets: dict[int, int], hours: int) -> LoadTable:
    """Put a Parquet object of 2013Q1 into the lake and declare its load."""
    path = folder / f"{uuid4()}.parquet"
    declaration = write(path, bank_rows(dict(assets)), as_of=FIRST + timedelta(hours=hours))
    await bench.lake.put(declaration.object.key, path.read_bytes())
    return declaration


async def run_loader(body: str, bench: Workbench, database: Database) -> None:
    async def publish(event: Envelope[LoadComplete]) -> None:
        del event

    assert isinstance(bench.lake, Lake)
    await load(
        open_envelope(body, LoadTable),
        lake=bench.lake,
        database=database,
        limits=LIMITS,
        now=lambda: datetime.now(UTC),
        publish=publish,
    )


async def rows(connection: Connection) -> dict[int, int]:
    found = await connection.fetch("SELECT idrssd, rcfd2170 FROM call_reports.rc")
    return {row["idrssd"]: row["rcfd2170"] for row in found}


def parked(declaration: LoadTable) -> Parked:
    return Parked("loader", enveloped(declaration).to_json(), why("loader", "E", "r", 1, GROUP))


async def test_a_plan_shows_the_rows_a_load_would_change_and_changes_none(
    bench: Workbench,
    database: Database,
    queues: Queues,
    ledger_connection: Connection,
    tmp_path: Path,
) -> None:
    first = await stored(bench, tmp_path, BEFORE, 0)
    await run_loader(enveloped(first).to_json(), bench, database)
    second = await stored(bench, tmp_path, AFTER, 1)
    park(queues.sqs, [parked(second)])
    await bench.look()

    (planned,) = (await bench.plan(await bench.parked(), selection="all")).messages

    assert planned.effect == "+2 ~1 -1 rows in call_reports.rc"
    assert await rows(ledger_connection) == BEFORE
    assert await ledger_connection.fetchval("SELECT count(*) FROM quarry.load") == 1


async def test_a_plan_of_the_first_load_of_a_table_leaves_no_table_behind(
    bench: Workbench,
    database: Database,
    queues: Queues,
    ledger_connection: Connection,
    tmp_path: Path,
) -> None:
    del database
    park(queues.sqs, [parked(await stored(bench, tmp_path, BEFORE, 0))])
    await bench.look()

    (planned,) = (await bench.plan(await bench.parked(), selection="all")).messages

    assert planned.effect == "+3 ~0 -0 rows in call_reports.rc"
    with pytest.raises(asyncpg.UndefinedTableError):
        await rows(ledger_connection)


async def test_a_load_that_is_in_the_ledger_and_one_that_is_overtaken_are_told_apart(
    bench: Workbench, database: Database, queues: Queues, tmp_path: Path
) -> None:
    old = await stored(bench, tmp_path, BEFORE, 0)
    new = await stored(bench, tmp_path, AFTER, 1)
    await run_loader(enveloped(new).to_json(), bench, database)
    park(queues.sqs, [parked(old), parked(new)])
    await bench.look()

    plan = await bench.plan(await bench.parked(), selection="all")

    by_load = {planned.load_id: planned for planned in plan.messages}
    assert by_load[new.load_id].in_ledger
    assert str(new.load_id) in (by_load[old.load_id].order_risk or "")
    with pytest.raises(deeds.ReplayRefused, match="--allow-reorder"):
        await deeds.replay(bench, plan, await bench.parked(), why="test", pace=Pace(1000))


async def test_a_message_delivered_twice_by_a_replay_doubles_no_row(
    bench: Workbench,
    database: Database,
    queues: Queues,
    ledger_connection: Connection,
    tmp_path: Path,
) -> None:
    park(queues.sqs, [parked(await stored(bench, tmp_path, BEFORE, 0))])
    await bench.look()
    messages = await bench.parked()
    plan = await bench.plan(messages, selection="all")
    await deeds.replay(bench, plan, messages, why="test", pace=Pace(1000))

    for body in [message["Body"] for message in queues.drain("loader")] * 2:
        await run_loader(body, bench, database)

    assert await rows(ledger_connection) == BEFORE
    assert await ledger_connection.fetchval("SELECT count(*) FROM quarry.load") == 1

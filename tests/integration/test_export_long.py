"""`quarry export long`: the file holds exactly what the tables hold."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types
import pytest

from contracts import Period
from contracts.datasets import dataset_named
from ops.errors import CommandFailed
from ops.long_export import SCHEMA, export_long
from services.loader import credentials, ledger
from services.loader.curate import curate
from services.loader.postgres import Database
from tests.loads import bank_rows, bring

CALL_REPORTS = dataset_named("call_reports")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(credentials.fixed(database_url), connections=1) as opened:
        async with opened.connection() as connection:
            await ledger.prepare(connection)
        yield opened


async def load(
    database: Database, folder: Path, period: str, assets: dict[int, int | None]
) -> None:
    async with database.connection() as connection:
        await bring(connection, folder / period, bank_rows(assets, period=period), period=period)
        await curate(connection, "call_reports", "call_reports")


async def test_every_value_of_the_chosen_quarters_is_in_the_file_once(
    database: Database, tmp_path: Path
) -> None:
    await load(database, tmp_path, "2013Q1", {1: 10, 2: None, 3: 30})
    await load(database, tmp_path, "2013Q2", {1: 11})
    await load(database, tmp_path, "2013Q3", {1: 12})
    path = tmp_path / "long.parquet"

    periods = [Period(2013, 1), Period(2013, 3)]
    rows = await export_long(database, CALL_REPORTS, periods, path)

    table = pq.read_table(path)
    assert (rows, table.schema) == (3, SCHEMA)
    assert sorted(tuple(row.values()) for row in table.to_pylist()) == [
        (1, 2013, 1, "RCFD2170", 10.0, None),
        (1, 2013, 3, "RCFD2170", 12.0, None),
        (3, 2013, 1, "RCFD2170", 30.0, None),
    ]


async def test_without_a_quarter_all_are_written_in_batches(
    database: Database, tmp_path: Path
) -> None:
    banks: dict[int, int | None] = dict.fromkeys(range(130_000), 1)
    await load(database, tmp_path, "2013Q1", banks)
    await load(database, tmp_path, "2013Q2", {1: 11})

    path = tmp_path / "long.parquet"
    assert await export_long(database, CALL_REPORTS, [], path) == 130_001
    groups = pq.ParquetFile(path).metadata
    assert [groups.row_group(i).num_rows for i in range(3)] == [100_000, 30_000, 1]


async def test_a_quarter_that_is_not_loaded_is_named_and_no_file_is_left(
    database: Database, tmp_path: Path
) -> None:
    await load(database, tmp_path, "2013Q1", {1: 10})

    path = tmp_path / "out" / "long.parquet"
    await asyncio.to_thread(path.parent.mkdir)
    with pytest.raises(CommandFailed, match="not loaded: 2019Q4"):
        await export_long(database, CALL_REPORTS, [Period(2019, 4)], path)
    assert await asyncio.to_thread(lambda: list(path.parent.iterdir())) == []


async def test_an_integer_that_a_float_cannot_hold_is_refused(
    database: Database, tmp_path: Path
) -> None:
    await load(database, tmp_path, "2013Q1", {1: 2**53 - 1, 2: 2**53 + 1})

    path = tmp_path / "long.parquet"
    with pytest.raises(CommandFailed, match="RCFD2170 of bank 2 in 2013Q1"):
        await export_long(database, CALL_REPORTS, [], path)
    assert not await asyncio.to_thread(path.exists)


async def test_a_database_without_the_dataset_says_so(database: Database, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="load a quarter of it first"):
        await export_long(database, CALL_REPORTS, [], tmp_path / "long.parquet")

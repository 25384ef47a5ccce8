"""SQL for analysts: what `contracts/datasets/call_reports.sql` gives beside the loaded tables."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest

from contracts import Period
from services.loader.curate import curate
from services.loader.exactly_once import load_parquet
from services.loader.postgres import Connection
from tests.loads import LIMITS, PROVENANCE, bring, write

Q1, Q2 = date(2013, 3, 31), date(2013, 6, 30)


@pytest.fixture
async def connection(ledger_connection: Connection) -> Connection:
    """A database with the functions and views, and no table yet."""
    await ledger_connection.execute("CREATE SCHEMA call_reports")
    assert await curate(ledger_connection, "call_reports", "call_reports")
    return ledger_connection


def schedule(banks: Sequence[int], period: str, columns: Mapping[str, Any]) -> pa.Table:
    ends = pa.array([Period.parse(period).end] * len(banks), pa.date32())
    return pa.table({"idrssd": pa.array(banks, pa.int64()), "period_end": ends, **columns})


async def load(
    connection: Connection,
    folder: Path,
    name: str,
    columns: Mapping[str, Any],
    *,
    period: str = "2013Q1",
    banks: Sequence[int] = (37, 242),
) -> None:
    table = schedule(banks, period, columns)
    await bring(connection, folder / f"{name}-{period}", table, name=name, period=period)


async def rows(connection: Connection, query: str, *values: object) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await connection.fetch(query, *values)]


async def test_before_any_table_is_loaded_every_view_is_there_and_empty(
    connection: Connection,
) -> None:
    for view in ("long", "totals", "total_deposits", "codes", "series('RCON2170')"):
        assert await rows(connection, f"SELECT * FROM call_reports.{view}") == []  # noqa: S608  # names of this test


async def test_a_series_runs_over_quarters_and_leaves_out_what_was_not_reported(
    connection: Connection, tmp_path: Path
) -> None:
    await load(connection, tmp_path, "rc", {"rcon2170": [10, 20]})
    await load(connection, tmp_path, "rc", {"rcon2170": [11, None]}, period="2013Q2")

    found = await rows(connection, "SELECT * FROM call_reports.series('rcon2170') ORDER BY 1, 2")
    assert found == [(37, Q1, 10), (37, Q2, 11), (242, Q1, 20)]


async def test_a_code_in_several_schedules_is_there_once_per_bank_and_quarter(
    connection: Connection, tmp_path: Path
) -> None:
    await load(connection, tmp_path, "rca", {"rcon0081": [None, 5], "rcon1111": [1, 1]})
    await load(connection, tmp_path, "rcb", {"rcon0081": [4, 5], "rcon2222": [2, 2]})
    await load(connection, tmp_path, "rcc", {"rcon0081": [4, 5]})

    series = await rows(connection, "SELECT idrssd, value FROM call_reports.series('RCON0081')")
    long = "SELECT idrssd, value FROM call_reports.long WHERE code = 'RCON0081' ORDER BY 1"
    assert series == await rows(connection, long) == [(37, 4), (242, 5)]
    assert await connection.fetchval("SELECT count(*) FROM call_reports.long") == 6


async def test_numbers_of_every_kind_come_exactly(connection: Connection, tmp_path: Path) -> None:
    columns = {
        "rcona001": [2**62, None],
        "rcona002": [0.1, 0.100059000000001],
        "rcona003": [True, False],
    }
    await load(connection, tmp_path, "rca", columns)

    long = "SELECT code, value FROM call_reports.long ORDER BY code, idrssd"
    assert await rows(connection, long) == [
        ("RCONA001", 2**62),
        ("RCONA002", Decimal("0.1")),
        ("RCONA002", Decimal("0.100059000000001")),
        ("RCONA003", 1),
        ("RCONA003", 0),
    ]


async def test_text_and_dates_are_in_the_text_of_long_and_in_series_text(
    connection: Connection, tmp_path: Path
) -> None:
    await load(connection, tmp_path, "ent", {"rssd9050": ["09392", None], "riad9106": [Q1, None]})

    long = "SELECT idrssd, year, quarter, code, value, text FROM call_reports.long ORDER BY code"
    assert await rows(connection, long) == [
        (37, 2013, 1, "RIAD9106", None, "2013-03-31"),
        (37, 2013, 1, "RSSD9050", None, "09392"),
    ]
    found = await rows(connection, "SELECT * FROM call_reports.series_text('RSSD9050')")
    assert found == [(37, Q1, "09392")]


async def test_a_text_asked_for_as_a_number_is_refused_with_the_function_to_use(
    connection: Connection, tmp_path: Path
) -> None:
    await load(connection, tmp_path, "ent", {"rssd9050": ["09392", None]})

    with pytest.raises(asyncpg.PostgresError, match="not reported as a number") as refused:
        await rows(connection, "SELECT * FROM call_reports.series('RSSD9050')")
    assert "series_text('RSSD9050')" in str(refused.value.as_dict()["hint"])


async def test_key_lineage_panel_and_dictionary_are_no_codes(
    connection: Connection, tmp_path: Path
) -> None:
    columns = {"rcon2170": [1, 2], "filename": ["a", "b"], "row_number": [3, 4]}
    await load(connection, tmp_path, "rc", columns)
    await load(connection, tmp_path, "por", {"rssd9999": ["x", "y"]})

    found = await rows(connection, "SELECT DISTINCT code FROM call_reports.long")
    assert found == [("RCON2170",)]


async def test_long_can_be_asked_for_some_quarters_and_one_schedule(
    connection: Connection, tmp_path: Path
) -> None:
    for period in ("2013Q1", "2013Q2"):
        await load(connection, tmp_path, "rc", {"rcon2170": [1, 2]}, period=period)
        await load(connection, tmp_path, "ri", {"riad4340": [3, 4]}, period=period)

    query = "SELECT DISTINCT quarter, code FROM call_reports.long($1, $1, 'ri')"
    assert await rows(connection, query, Q2) == [(2, "RIAD4340")]


async def test_totals_prefer_the_whole_bank_and_add_foreign_deposits(
    connection: Connection, tmp_path: Path
) -> None:
    columns = {
        "rcfd2170": [500, None],
        "rcon2170": [400, 20],
        "rcon2200": [300, 15],
        "rcfn2200": [50, None],
        "rcon3210": [None, 3],
        "rcfd3210": [60, None],
    }
    await load(connection, tmp_path, "rc", columns)
    await load(connection, tmp_path, "rcci", {"rcfd2122": [100, None], "rcon2122": [90, 9]})

    query = (
        "SELECT idrssd, total_assets, loans, deposits, equity, net_income"
        " FROM call_reports.totals ORDER BY 1"
    )
    assert await rows(connection, query) == [
        (37, 500, 100, 350, 60, None),
        (242, 20, 9, 15, 3, None),
    ]


async def test_income_since_january_becomes_that_of_each_quarter(
    connection: Connection, tmp_path: Path
) -> None:
    reported = {"2012Q4": 90, "2013Q1": 10, "2013Q2": 25, "2013Q4": 70}
    for period, value in reported.items():
        await load(connection, tmp_path, "ri", {"riad4340": [value]}, period=period, banks=[37])

    query = "SELECT net_income_ytd, net_income FROM call_reports.totals ORDER BY period_end"
    assert await rows(connection, query) == [(90, None), (10, 10), (25, 15), (70, None)]


async def test_income_that_began_anew_in_a_quarter_is_no_flow_of_that_quarter(
    connection: Connection, tmp_path: Path
) -> None:
    bought = date(2013, 5, 2)
    for period, value in {"2013Q1": 10, "2013Q2": 4, "2013Q3": 9}.items():
        since = pa.array([None if period == "2013Q1" else bought], pa.date32())
        columns = {"riad4340": [value], "riad9106": since}
        await load(connection, tmp_path, "ri", columns, period=period, banks=[37])

    query = "SELECT in_quarter FROM call_reports.flows('RIAD4340') ORDER BY period_end"
    assert await rows(connection, query) == [(10,), (None,), (5,)]


async def test_codes_have_their_newest_description_and_every_quarter(
    connection: Connection, tmp_path: Path
) -> None:
    for period, said in {"2013Q1": "TOTAL ASSET", "2013Q2": "TOTAL ASSETS"}.items():
        table = pa.table(
            {
                "table_name": ["rc", "rcr", "por"],
                "column_name": ["rcon2170", "rcon2170", "city"],
                "period_end": pa.array([Period.parse(period).end] * 3, pa.date32()),
                "mdrm": ["RCON2170", "RCON2170", None],
                "description": [said, None, None],
                "type": ["int", "int", "text"],
            }
        )
        key = ("table_name", "column_name", "period_end")
        path = tmp_path / period
        await bring(connection, path, table, name="dictionary", period=period, key=key)

    quarters = ["2013Q1", "2013Q2"]
    assert await rows(connection, "SELECT * FROM call_reports.codes") == [
        ("RCON2170", "TOTAL ASSETS", "int", ["rc", "rcr"], *quarters, quarters)
    ]


async def test_columns_are_added_and_widened_under_the_views_and_seen_at_once(
    connection: Connection, tmp_path: Path
) -> None:
    await load(connection, tmp_path, "rc", {"rcon2170": [1, 2]})
    assert len(await rows(connection, "SELECT * FROM call_reports.totals")) == 2

    columns = {"rcon2170": [1.5, 2.5], "rconnew1": [7, None]}
    await load(connection, tmp_path, "rc", columns, period="2013Q2")

    query = "SELECT code, value FROM call_reports.long WHERE quarter = 2 ORDER BY 1, 2"
    expected = [("RCON2170", Decimal("1.5")), ("RCON2170", Decimal("2.5")), ("RCONNEW1", 7)]
    assert await rows(connection, query) == expected


async def test_the_script_is_applied_once_and_again_for_a_schema_made_anew(
    connection: Connection,
) -> None:
    assert not await curate(connection, "call_reports", "call_reports")

    await connection.execute("DROP SCHEMA call_reports CASCADE; CREATE SCHEMA call_reports")
    assert await curate(connection, "call_reports", "call_reports")
    assert await rows(connection, "SELECT * FROM call_reports.totals") == []


async def test_another_version_of_the_script_replaces_the_one_in_place(
    connection: Connection,
) -> None:
    await connection.execute("UPDATE quarry.curated SET digest = 'of an older version'")
    await connection.execute("COMMENT ON VIEW call_reports.totals IS NULL")

    assert await curate(connection, "call_reports", "call_reports")
    comment = "SELECT obj_description('call_reports.totals'::regclass) IS NOT NULL"
    assert await connection.fetchval(comment)


async def test_a_dataset_without_such_sql_needs_nothing(ledger_connection: Connection) -> None:
    assert not await curate(ledger_connection, "dropped_files", "dropped_files")


async def test_loads_in_several_lanes_apply_it_once_and_none_fails(
    ledger_connection: Connection, database_url: str, tmp_path: Path
) -> None:
    async def lane(number: int) -> bool:
        own = await asyncpg.connect(database_url, statement_cache_size=0)
        try:
            path = tmp_path / str(number)
            table = schedule([37], "2013Q1", {f"rcon000{number}": [number]})
            declared = write(path, table, name=f"rc{number}")
            await load_parquet(own, path, declared, PROVENANCE, LIMITS)
            return await curate(own, "call_reports", "call_reports")
        finally:
            await own.close()

    applied = await asyncio.gather(*(lane(number) for number in range(1, 7)))

    assert applied.count(True) == 1
    assert await ledger_connection.fetchval("SELECT count(*) FROM call_reports.long") == 6

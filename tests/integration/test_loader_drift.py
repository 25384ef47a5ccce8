"""Schema drift: what a table does when a file's columns are not the ones of last time."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest

from services.loader.postgres import Connection
from shared.errors import SchemaMismatch
from tests.loads import FIRST, bank_rows, bring


def with_assets(values: pa.Array, period: str = "2013Q2", name: str = "rcfd2170") -> pa.Table:
    table = bank_rows(dict.fromkeys(range(1, len(values) + 1)), period=period)
    return table.set_column(2, pa.field(name, values.type), values)


async def second(connection: Connection, path: Path, table: pa.Table, **options: Any) -> None:
    options = {"period": "2013Q2", "as_of": FIRST + timedelta(days=1), **options}
    await bring(connection, path, table, **options)


async def types_of(connection: Connection) -> dict[str, str]:
    rows = await connection.fetch(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = 'call_reports.rc'::regclass AND attnum > 0"
    )
    return {row[0]: row[1] for row in rows}


@pytest.mark.parametrize(
    ("values", "expected", "texts"),
    [
        (pa.array([True]), "bigint", ["10", "1"]),
        (pa.array([1.5]), "double precision", ["10", "1.5"]),
        (pa.array(["x"]), "text", ["10", "x"]),
        (pa.array([None], pa.string()), "bigint", ["10", None]),
        (pa.array([None], pa.null()), "bigint", ["10", None]),
        (pa.array([FIRST.date()]), "text", ["10", "2013-05-01"]),
    ],
)
async def test_a_column_widens_to_hold_old_and_new_values(
    ledger_connection: Connection,
    tmp_path: Path,
    values: pa.Array,
    expected: str,
    texts: list[str | None],
) -> None:
    await bring(ledger_connection, tmp_path / "a", bank_rows({1: 10}))

    await second(ledger_connection, tmp_path / "b", with_assets(values))

    rows = await ledger_connection.fetch(
        "SELECT rcfd2170::text FROM call_reports.rc ORDER BY period_end"
    )
    assert (await types_of(ledger_connection))["rcfd2170"] == expected
    assert [row[0] for row in rows] == texts


async def test_a_wider_column_takes_narrower_values(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await bring(ledger_connection, tmp_path / "a", with_assets(pa.array(["x"]), "2013Q1"))

    await second(ledger_connection, tmp_path / "b", with_assets(pa.array([7])))

    rows = await ledger_connection.fetch("SELECT rcfd2170 FROM call_reports.rc ORDER BY 1")
    assert [row[0] for row in rows] == ["7", "x"]


async def test_a_column_that_never_had_a_value_takes_any_type(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await bring(ledger_connection, tmp_path / "a", bank_rows({1: None}))

    await second(ledger_connection, tmp_path / "b", with_assets(pa.array([FIRST.date()])))

    assert (await types_of(ledger_connection))["rcfd2170"] == "date"


async def test_a_view_that_needs_the_old_type_is_named(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await bring(ledger_connection, tmp_path / "a", bank_rows({1: 10}))
    await ledger_connection.execute("CREATE VIEW own AS SELECT rcfd2170 FROM call_reports.rc")

    with pytest.raises(SchemaMismatch, match=r"call_reports\.rc .* on view own depends on column"):
        await second(ledger_connection, tmp_path / "b", with_assets(pa.array([1.5])))


async def test_integers_that_a_float_cannot_hold_keep_the_column_from_widening(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await bring(ledger_connection, tmp_path / "a", bank_rows({1: 2**53 + 1}))

    with pytest.raises(SchemaMismatch, match=r"beyond 2\^53"):
        await second(ledger_connection, tmp_path / "b", with_assets(pa.array([0.5])))


async def test_new_columns_are_added_and_vanished_ones_stay_null(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await bring(ledger_connection, tmp_path / "a", bank_rows({1: 10}))

    await second(ledger_connection, tmp_path / "b", with_assets(pa.array([20]), name="rcfd3210"))

    rows = await ledger_connection.fetch(
        "SELECT rcfd2170, rcfd3210 FROM call_reports.rc ORDER BY period_end"
    )
    assert [tuple(row) for row in rows] == [(10, None), (None, 20)]


async def test_reordered_columns_arrive_under_their_names(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await bring(ledger_connection, tmp_path / "a", bank_rows({1: 10}))
    table = bank_rows({2: 20}, period="2013Q2")

    await second(ledger_connection, tmp_path / "b", table.select(table.column_names[::-1]))

    row = await ledger_connection.fetchrow("SELECT * FROM call_reports.rc WHERE idrssd = 2")
    assert row is not None
    assert (row["rcfd2170"], row["row_number"], row["filename"]) == (20, 3, "rc.txt")


async def test_names_over_63_bytes_stay_apart(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    stem = "average_balance_of_" * 5
    table = bank_rows({1: 10})
    for number in (1, 2):
        table = table.append_column(f"{stem}{number}", pa.array([number]))

    await bring(ledger_connection, tmp_path / "a", table)

    row = await ledger_connection.fetchrow("SELECT * FROM call_reports.rc")
    assert row is not None
    assert [value for name, value in row.items() if name.startswith("average")] == [1, 2]


async def test_too_many_columns_are_refused_before_anything_is_written(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    table = bank_rows({1: 10})
    for number in range(1600):
        table = table.append_column(f"c{number}", pa.array([1]))

    with pytest.raises(SchemaMismatch, match=r"1605 columns; a table takes 1598"):
        await bring(ledger_connection, tmp_path / "a", table)

    exists = "SELECT to_regnamespace('call_reports') IS NOT NULL"
    assert await ledger_connection.fetchval(exists) is False


async def test_a_table_whose_columns_are_used_up_says_so(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    wide = bank_rows({1: 10})
    for number in range(1590):
        wide = wide.append_column(f"c{number}", pa.array([None], pa.int64()))
    await bring(ledger_connection, tmp_path / "a", wide)
    other = bank_rows({1: 10}, period="2013Q2")
    for number in range(9):
        other = other.append_column(f"d{number}", pa.array([1]))

    with pytest.raises(SchemaMismatch, match="has used 1597 of 1600 columns"):
        await second(ledger_connection, tmp_path / "b", other)


async def test_descriptions_become_comments_and_follow_changes(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    def described(text: str, period: str) -> pa.Table:
        table = bank_rows({1: 10}, period=period)
        fields = [
            field.with_metadata({"description": text}) if field.name == "rcfd2170" else field
            for field in table.schema
        ]
        return table.cast(pa.schema(fields))

    await bring(ledger_connection, tmp_path / "a", described("TOTAL ASSETS", "2013Q1"))
    await second(ledger_connection, tmp_path / "b", described("Bank's \\ $total$", "2013Q2"))

    comment = await ledger_connection.fetchval(
        "SELECT col_description('call_reports.rc'::regclass, attnum) FROM pg_attribute"
        " WHERE attrelid = 'call_reports.rc'::regclass AND attname = 'rcfd2170'"
    )
    assert comment == "Bank's \\ $total$"


async def test_a_file_that_brings_the_loaders_own_columns_is_refused(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    forged = bank_rows({1: 10}).append_column("load_id", pa.array(["mine"]))

    with pytest.raises(SchemaMismatch, match="which the loader writes"):
        await bring(ledger_connection, tmp_path / "a", forged)


async def test_loads_that_widen_one_table_at_once_both_arrive(
    ledger_connection: Connection, database_url: str, tmp_path: Path
) -> None:
    await bring(ledger_connection, tmp_path / "a", bank_rows({1: 10}))
    kinds = {"2013Q2": pa.array([0.5]), "2013Q3": pa.array(["x"]), "2013Q4": pa.array([True])}
    connections = [await asyncpg.connect(database_url) for _ in kinds]
    try:
        await asyncio.gather(
            *(
                bring(connection, tmp_path / period, with_assets(values, period), period=period)
                for connection, (period, values) in zip(connections, kinds.items(), strict=True)
            )
        )
    finally:
        for connection in connections:
            await connection.close()

    rows = await ledger_connection.fetch("SELECT rcfd2170 FROM call_reports.rc ORDER BY period_end")
    assert [row[0] for row in rows][:3] == ["10", "0.5", "x"]
    assert len(rows) == 4

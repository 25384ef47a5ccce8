"""Reading pieces back from their table: equal rows are found, and no others."""

import asyncio
from contextlib import aclosing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest

from services.loader.arrival import Target
from services.loader.binary_copy import FitPart, fit_parts
from services.loader.migrate import read_table
from services.loader.parquet import LINEAGE, ParquetRows
from services.loader.pieces import KeyRange, key_ranges
from services.loader.postgres import Connection
from services.loader.read_back import ReadBack
from tests.loads import bring, write

_NOON = datetime(2013, 3, 31, 12, 0, 0, 1, tzinfo=UTC)
_ROWS: dict[str, pa.Array] = {
    "id": pa.array([1, 2, 3], pa.int64()),
    "count": pa.array([-(2**63), None, 2**63 - 1], pa.int64()),
    "ratio": pa.array([0.1, None, float("nan")], pa.float64()),
    "amount": pa.array([Decimal("0.00"), Decimal("-120000.50"), None], pa.decimal128(14, 2)),
    "flag": pa.array([True, False, None]),
    "name": pa.array(["", "a\tb\\n", None]),
    "raw": pa.array([b"", b"\x00\xff", None]),
    "day": pa.array([date(1, 1, 1), date(9999, 12, 31), None]),
    "stamp": pa.array([_NOON.replace(tzinfo=None), None, None], pa.timestamp("us")),
    "moment": pa.array([_NOON, None, None], pa.timestamp("us", "UTC")),
    "span": pa.array([timedelta(days=-3, microseconds=1), None, None], pa.duration("us")),
}


async def found(
    connection: Connection, folder: Path, table: pa.Table, key: tuple[str, ...]
) -> bool:
    """Say whether `call_reports.sheet` is found to have these rows."""
    path = folder / "asked.parquet"
    write(path, table)
    rows = ParquetRows(path, "asked")
    state = await read_table(connection, "call_reports", "sheet")
    types = {name: kind for name, kind in state.types.items() if name in table.column_names}
    target = Target(state, state.types, key)

    ranges = key_ranges(rows, key)
    assert ranges is not None

    def nothing(_: FitPart) -> None:
        """Leave the work to the comparison."""

    [piece] = rows.pieces()
    read_back = ReadBack(connection, target, tuple(one.name for one in rows.columns), ranges)
    async with (
        connection.transaction(),
        aclosing(fit_parts(rows.parts(piece), rows.columns, types, nothing)) as parts,
    ):
        coming = asyncio.create_task(anext(parts))
        found = read_back.worthwhile and await read_back.finds(0, coming)
        await coming
    rows.close()
    return found


async def merged(
    connection: Connection, folder: Path, table: pa.Table, key: tuple[str, ...]
) -> None:
    path = folder / "brought.parquet"
    await bring(connection, path, table, mode="merge", key=key, name="sheet", period=None)


@pytest.mark.parametrize("name", sorted(_ROWS))
async def test_rows_of_every_type_are_found_again(
    ledger_connection: Connection, tmp_path: Path, name: str
) -> None:
    table = pa.table({"id": _ROWS["id"], name: _ROWS[name]})
    await merged(ledger_connection, tmp_path, table, ("id",))

    assert await found(ledger_connection, tmp_path, table, ("id",))


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        ([1, 2, 3], ["a", "b", "x"]),  # changed
        ([1, 3], ["a", "c"]),  # the table has one between
        ([1, 2, 3, 4], ["a", "b", "c", "d"]),  # the table lacks one
        ([2, 3], ["b", None]),
        ([7, 8], ["a", "b"]),
    ],
)
async def test_other_rows_are_not_found(
    ledger_connection: Connection, tmp_path: Path, ids: list[int], names: list[Any]
) -> None:
    await merged(
        ledger_connection, tmp_path, pa.table({"id": [1, 2, 3], "name": ["a", "b", "c"]}), ("id",)
    )

    asked = pa.table({"id": ids, "name": pa.array(names, pa.string())})
    assert not await found(ledger_connection, tmp_path, asked, ("id",))


async def test_rows_are_found_by_a_key_of_two_columns_with_awkward_text(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    codes = pa.array(["$1", "a'b", "c\\"])
    days = pa.array([date(2013, 3, 31)] * 3)
    table = pa.table({"day": days, "code $1": codes, "total": [1, 2, 3]})
    key = ("day", "code $1")
    await merged(ledger_connection, tmp_path, table, key)

    assert await found(ledger_connection, tmp_path, table, key)


async def test_where_a_row_came_from_does_not_matter(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    assert {"filename", "row_number"} <= LINEAGE
    table = pa.table({"id": [1], "filename": ["monday.csv"], "row_number": [3]})
    await merged(ledger_connection, tmp_path, table, ("id",))

    again = pa.table({"id": [1], "filename": ["tuesday.csv"], "row_number": [5]})
    assert await found(ledger_connection, tmp_path, again, ("id",))


async def test_a_column_that_the_file_lacks_is_left_to_the_server(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await merged(ledger_connection, tmp_path, pa.table({"id": [1], "name": ["a"]}), ("id",))

    assert not await found(ledger_connection, tmp_path, pa.table({"id": [1]}), ("id",))


async def test_lists_are_left_to_the_server(ledger_connection: Connection, tmp_path: Path) -> None:
    labels = pa.array([["a", None], [], None], pa.list_(pa.string()))
    table = pa.table({"id": [1, 2, 3], "labels": labels})
    await merged(ledger_connection, tmp_path, table, ("id",))

    assert not await found(ledger_connection, tmp_path, table, ("id",))


async def test_failures_in_a_row_make_the_pauses_longer(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await merged(ledger_connection, tmp_path, pa.table({"id": [1], "name": ["a"]}), ("id",))
    state = await read_table(ledger_connection, "call_reports", "sheet")
    target = Target(state, state.types, ("id",))
    read_back = ReadBack(ledger_connection, target, ("id", "name"), [KeyRange(1, (1, 1))])
    batch = pa.record_batch({"id": [1], "name": pa.array(["b"], pa.large_string())})
    coming = asyncio.get_running_loop().create_future()
    coming.set_result(FitPart(batch, frozenset()))

    asked = []
    async with ledger_connection.transaction():
        for _ in range(12):
            asked.append(read_back.worthwhile)
            assert not await read_back.finds(0, coming)

    assert [number for number, one in enumerate(asked) if one] == [0, 2, 6]

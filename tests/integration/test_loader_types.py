"""Every type there and back: what was in the Parquet is what the table says."""

import json
import math
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest
from hypothesis import HealthCheck, given, settings

from services.loader.postgres import Connection, RowRefused
from tests.frames import tables
from tests.loads import bring


def comparable(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return value


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(tables())
async def test_random_frames_are_read_back_equal(
    ledger_connection: Connection, tmp_path: Path, table: pa.Table
) -> None:
    name = f"t{uuid4().hex}"

    await bring(ledger_connection, tmp_path / "a", table, mode="append", key=(), name=name)

    rows = await ledger_connection.fetch(f"SELECT * FROM call_reports.{name} ORDER BY row_number")  # noqa: S608  # name of this test
    for column in table.column_names:
        stored = [row[column] for row in rows]
        if column == "nested":
            stored = [None if value is None else json.loads(value) for value in stored]
        expected = table[column].to_pylist()
        assert [comparable(value) for value in stored] == [comparable(v) for v in expected]


async def bring_column(connection: Connection, path: Path, values: pa.Array) -> list[Any]:
    await bring(connection, path, pa.table({"x": values}), mode="append", key=())
    return [row[0] for row in await connection.fetch("SELECT x FROM call_reports.rc")]


async def test_tabs_newlines_and_backslashes_are_plain_text(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    awkward = ["a\tb", "a\nb", "a\r\nb", "\\N", '"', "", "\\."]

    assert await bring_column(ledger_connection, tmp_path / "a", pa.array(awkward)) == awkward


async def test_a_nul_in_text_is_refused_with_its_row_and_column(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    values = pa.array(["fine", "also fine", "a\0b"])

    with pytest.raises(RowRefused, match=r"line 3, column x"):
        await bring_column(ledger_connection, tmp_path / "a", values)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (pa.array([0, 2932897], pa.date32()), "row 2: is outside the years 1 to 9999"),
        (pa.array([0, -719163], pa.date32()), "row 2: is outside the years 1 to 9999"),
        (pa.array([0, 2**53], pa.timestamp("ms")), "row 2: is outside the years 1 to 9999"),
        (pa.array([1000, 1001], pa.timestamp("ns")), "row 2: has nanoseconds"),
        (pa.array([1000, 1001], pa.time64("ns")), "row 2: has nanoseconds"),
        (pa.array([{"a": math.nan}]), "rows 1 to 1: "),
    ],
)
async def test_a_value_that_would_change_is_refused_with_its_row(
    ledger_connection: Connection, tmp_path: Path, values: pa.Array, reason: str
) -> None:
    with pytest.raises(RowRefused, match=reason):
        await bring_column(ledger_connection, tmp_path / "a", values)


async def test_nanoseconds_that_are_whole_microseconds_are_kept(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    values = pa.array([-1_000, 1_000_001_000], pa.timestamp("ns"))

    stored = await bring_column(ledger_connection, tmp_path / "a", values)

    epoch = datetime(1970, 1, 1)  # noqa: DTZ001  # a column without zone
    assert stored == [
        epoch - timedelta(microseconds=1),
        epoch + timedelta(seconds=1, microseconds=1),
    ]


async def test_decimals_keep_their_scale(ledger_connection: Connection, tmp_path: Path) -> None:
    values = pa.array([Decimal("1.50"), Decimal("-0.01")], pa.decimal128(12, 2))

    stored = await bring_column(ledger_connection, tmp_path / "a", values)

    assert [str(value) for value in stored] == ["1.50", "-0.01"]


async def test_a_zone_changes_how_a_moment_is_written_and_not_the_moment(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    moment = datetime(2013, 3, 31, 12, tzinfo=UTC)
    values = pa.array([moment], pa.timestamp("us", "America/New_York"))

    assert await bring_column(ledger_connection, tmp_path / "a", values) == [moment]


async def test_times_without_a_zone_stay_without(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    stored = await bring_column(ledger_connection, tmp_path / "a", pa.array([time(23, 59, 1, 7)]))

    assert stored == [time(23, 59, 1, 7)]


async def test_a_file_without_rows_makes_the_table(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    assert await bring_column(ledger_connection, tmp_path / "a", pa.array([], pa.int64())) == []


async def test_a_file_without_columns_makes_a_table_of_lineage_only(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await bring(ledger_connection, tmp_path / "a", pa.table({}), mode="append", key=())

    assert await ledger_connection.fetch("SELECT load_id FROM call_reports.rc") == []

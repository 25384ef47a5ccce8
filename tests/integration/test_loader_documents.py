"""JSON and lists of exact decimals on their way into jsonb and numeric[]."""

from decimal import Decimal
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types

from services.loader.postgres import Connection
from tests.loads import bring

_DIGITS = Decimal("1234567890123456789012345678.0000000001")


def _documents(*texts: str | None) -> pa.Array:
    return pa.ExtensionArray.from_storage(pa.json_(), pa.array(texts, pa.string()))


async def test_json_becomes_jsonb_with_its_numbers_digit_by_digit(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    table = pa.table({"x": _documents(f'{{"a": [1.10, {_DIGITS}], "ß": null}}', None, '"text"')})
    await bring(ledger_connection, tmp_path / "a", table, mode="append", key=())
    kind = await ledger_connection.fetchval("SELECT pg_typeof(x)::text FROM call_reports.rc")
    rows = await ledger_connection.fetch("SELECT x::text FROM call_reports.rc ORDER BY ctid")
    assert kind == "jsonb"
    assert [row[0] for row in rows] == [f'{{"a": [1.10, {_DIGITS}], "ß": null}}', None, '"text"']


async def test_json_fits_a_column_that_is_there_already(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    for number in (1, 2):
        table = pa.table({"x": _documents(f'{{"n": {number}}}')})
        await bring(ledger_connection, tmp_path / str(number), table, mode="append", key=())
    total = await ledger_connection.fetchval("SELECT sum((x->>'n')::int) FROM call_reports.rc")
    assert total == 3


async def test_lists_of_decimals_keep_every_digit(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    values = pa.array([[_DIGITS, Decimal("-0.5")], [], None], pa.list_(pa.decimal128(38, 10)))
    table = pa.table({"x": values})
    await bring(ledger_connection, tmp_path / "a", table, mode="append", key=())
    rows = await ledger_connection.fetch("SELECT x FROM call_reports.rc ORDER BY ctid")
    assert [row[0] for row in rows] == [[_DIGITS, Decimal("-0.5")], [], None]

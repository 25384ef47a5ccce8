import csv
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types

from services.processor.csv_copy import write_csv


def written(tmp_path: Path, table: pa.Table, *, row_group_size: int = 2) -> str:
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=row_group_size)
    write_csv(tmp_path / "rows.parquet", tmp_path / "rows.csv")
    return (tmp_path / "rows.csv").read_text()


def test_every_kind_of_value_has_one_spelling(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": ['a "b", c\nd', "", None],
            "number": pa.array([Decimal("1.50"), None, Decimal("-2.00")], pa.decimal128(38, 2)),
            "flag": [True, False, None],
            "day": [date(2026, 11, 21), None, None],
            "moment": [datetime(2026, 11, 21, 9, tzinfo=UTC), None, None],
            "bytes": [b"\x00\xff", b"", None],
            "list": [["x", None], [], None],
            "ratio": [0.1, None, 1e300],
        }
    )
    assert written(tmp_path, table) == (
        '"text","number","flag","day","moment","bytes","list","ratio"\n'
        '"a ""b"", c\nd",1.50,true,2026-11-21,2026-11-21T09:00:00+00:00,'
        '\\x00ff,"[""x"", null]",0.1\n'
        '"",,false,,,\\x,"[]",\n'
        ",-2.00,,,,,,1e+300\n"
    )


def test_every_row_of_every_row_group_is_there_once(tmp_path: Path) -> None:
    text = written(tmp_path, pa.table({"n": range(12_345)}), row_group_size=7_000)
    assert text.splitlines() == ['"n"', *(str(n) for n in range(12_345))]


def test_a_table_without_rows_is_its_header(tmp_path: Path) -> None:
    assert written(tmp_path, pa.table({"a": pa.array([], pa.int64())})) == '"a"\n'


def test_another_reader_sees_the_same_texts(tmp_path: Path) -> None:
    texts = ["plain", 'with "quotes"', "two\nlines", "comma, here", "\\N", ""]
    rows = list(csv.reader(written(tmp_path, pa.table({"t": texts})).splitlines(keepends=True)))
    assert [row[0] for row in rows[1:]] == texts

"""Pieces of a merged file: the same rows have the same digest, other rows another one."""

import math
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from services.loader.parquet import ParquetRows
from services.loader.pieces import KeyRange, key_ranges
from tests.frames import VALUES, tables
from tests.loads import piece_digests, write

# With 1,024 columns and more a piece has 512 rows, the least there is.
_FILLERS = 1_020
_PIECE = 512
# Their digests are of how they lay, too: such a piece may be read back in vain.
_POINTING = {"labels", "numbers", "nested", "views"}
_FLAT = sorted(set(VALUES) - _POINTING)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables(names=_FLAT, max_rows=12), height=st.integers(1, 5))
def test_a_digest_does_not_depend_on_how_rows_are_grouped_in_the_file(
    tmp_path: Path, table: pa.Table, height: int
) -> None:
    whole = piece_digests(tmp_path / "whole", table)

    assert piece_digests(tmp_path / "grouped", table, row_group_size=height) == whole


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(sorted(VALUES)))
def test_other_values_of_any_type_have_another_digest(
    tmp_path: Path, data: st.DataObject, name: str
) -> None:
    one, other = (data.draw(tables(names=[name], max_rows=3)) for _ in range(2))
    assume(values(one) != values(other))

    assert piece_digests(tmp_path / "one", one) != piece_digests(tmp_path / "other", other)


def values(table: pa.Table) -> Any:
    """Return the values, NaN equal to itself."""
    return [
        ["NaN" if isinstance(cell, float) and math.isnan(cell) else cell for cell in row.values()]
        for row in table.to_pylist()
    ]


def wide(rows: int) -> pa.Table:
    """Rows in several pieces, of columns whose bytes are not all of the rows themselves."""
    numbers = pa.array([one * 7 if one % 3 else None for one in range(rows)], pa.int64())
    words = [f"word {one}" if one % 5 else None for one in range(rows)]
    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "number": numbers,
            "even": pa.array([one % 2 == 0 if one % 7 else None for one in range(rows)]),
            "word": pa.array(words, pa.string()),
            "code": pa.array(words, pa.string()).dictionary_encode(),
            **{f"filler{number}": numbers for number in range(_FILLERS)},
        }
    )


@pytest.mark.parametrize("options", [{}, {"row_group_size": 100}, {"compression": "zstd"}])
def test_a_file_that_grew_has_the_pieces_it_had(tmp_path: Path, options: dict[str, Any]) -> None:
    grown = wide(2 * _PIECE + 90)

    before = piece_digests(tmp_path / "before", grown.slice(0, 2 * _PIECE + 50))
    after = piece_digests(tmp_path / "after", grown, **options)

    assert len(before) == len(after) == 3
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, False]


def test_keys_that_ascend_have_the_ends_of_every_piece(tmp_path: Path) -> None:
    write(tmp_path / "rows", wide(_PIECE + 2))
    rows = ParquetRows(tmp_path / "rows", "rows")

    ranges = key_ranges(rows, ("id",))

    assert ranges == [KeyRange(_PIECE, (0, _PIECE - 1)), KeyRange(2, (_PIECE, _PIECE + 1))]
    rows.close()


def test_one_row_ascends(tmp_path: Path) -> None:
    write(tmp_path / "rows", pa.table({"id": [5]}))
    rows = ParquetRows(tmp_path / "rows", "rows")

    assert key_ranges(rows, ("id",)) == [KeyRange(1, (5, 5))]

    rows.close()


@pytest.mark.parametrize("ids", [[1, 2, 2], [2, 1, 3], [1, None, 3]])
def test_keys_that_do_not_ascend_have_no_ranges(tmp_path: Path, ids: list[int | None]) -> None:
    write(tmp_path / "rows", pa.table({"id": pa.array(ids, pa.int64())}))
    rows = ParquetRows(tmp_path / "rows", "rows")

    assert key_ranges(rows, ("id",)) is None

    rows.close()


def test_the_second_column_of_a_key_orders_rows_with_the_same_first(tmp_path: Path) -> None:
    columns = {"year": [2012, 2013, 2013], "bank": ["b", "a", "c"]}
    write(tmp_path / "rows", pa.table(columns))
    rows = ParquetRows(tmp_path / "rows", "rows")

    assert key_ranges(rows, ("year", "bank")) == [KeyRange(3, (2012, "b", 2013, "c"))]
    assert key_ranges(rows, ("bank", "year")) is None

    rows.close()

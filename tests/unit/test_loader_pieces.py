"""Pieces of a merged file: the same rows have the same digest, other rows another one."""

import math
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from services.loader.parquet import FileClosed, ParquetRows, Part, Piece
from services.loader.pieces import InPlace, KeyRange, Outline, key_ranges
from tests.frames import VALUES, tables
from tests.loads import piece_digests, write

# A piece of 1,025 columns has 512 rows or more, and a part of 1,024 or more has 1,023 at most; the
# lowest part has 512.
_FILLERS = 1_020
_PIECE = _HEIGHT = 512
_PART = 1_023


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


@pytest.mark.parametrize(
    ("options", "pieces"),
    [
        ({"row_group_size": _PIECE}, 3),
        ({"row_group_size": _PIECE, "use_dictionary": False, "write_statistics": False}, 3),
        ({"row_group_size": _PIECE, "write_page_index": True, "data_page_version": "2.0"}, 3),
        # Small groups are put together, six of them here.
        ({"row_group_size": 100}, 2),
        ({"row_group_size": 2 * _PIECE}, 2),
    ],
)
def test_a_file_that_grew_has_the_pieces_it_had(
    tmp_path: Path, options: dict[str, Any], pieces: int
) -> None:
    grown = wide(2 * _PIECE + 90)

    before = piece_digests(tmp_path / "before", grown.slice(0, 2 * _PIECE + 50), **options)
    after = piece_digests(tmp_path / "after", grown, **options)

    assert len(before) == len(after) == pieces
    same = [one == other for one, other in zip(before, after, strict=True)]
    assert same == [*[True] * (pieces - 1), False]


def test_where_rows_came_from_is_not_part_of_their_digest(tmp_path: Path) -> None:
    rows = pa.table({"id": [1, 2], "filename": ["a"] * 2, "row_number": [1, 2], "total": [3, 4]})
    moved = rows.set_column(1, "filename", pa.array(["another"] * 2))

    digests = piece_digests(tmp_path / "rows", rows)

    assert piece_digests(tmp_path / "moved", moved) == digests
    assert piece_digests(tmp_path / "other", rows.set_column(3, "total", [[3, 5]])) != digests


def test_the_same_bytes_of_another_type_have_another_digest(tmp_path: Path) -> None:
    numbers = pa.table({"id": pa.array([1, 2], pa.int64())})

    moments = numbers.cast(pa.schema({"id": pa.timestamp("us")}))

    options = {"use_dictionary": False, "write_statistics": False}
    assert piece_digests(tmp_path / "moments", moments, **options) != piece_digests(
        tmp_path / "numbers", numbers, **options
    )


@pytest.mark.parametrize(
    ("rows", "group"),
    [
        (0, _HEIGHT),
        (_HEIGHT, _HEIGHT),
        (2 * _HEIGHT + 7, 200),
        (2 * _HEIGHT + 7, _HEIGHT + 1),
        (2 * _HEIGHT + 7, 3 * _HEIGHT),
    ],
)
def test_parts_are_all_rows_in_order_however_they_are_grouped(
    tmp_path: Path, rows: int, group: int
) -> None:
    columns = {f"filler{number}": pa.nulls(rows) for number in range(2 * _FILLERS + 8)}
    table = pa.table({"id": pa.array(range(rows), pa.int64())} | columns)
    write(tmp_path / "rows", table, row_group_size=group)
    file = ParquetRows(tmp_path / "rows", "rows")
    pieces = file.pieces()

    parts = [part for piece in pieces for part in file.parts(piece, ["id"])]

    file.close()
    assert [*range(len(parts))] == [one for piece in pieces for one in piece.parts]
    assert [one for part in parts for one in ids(part)] == [*range(rows)]
    assert all(ids(part)[0] == part.first_row for part in parts)
    assert all(len(ids(part)) <= _HEIGHT for part in parts)


def test_what_nobody_waits_for_is_not_read_to_its_end(tmp_path: Path) -> None:
    write(tmp_path / "rows", wide(_PIECE + 1), row_group_size=_PIECE)
    rows = ParquetRows(tmp_path / "rows", "rows")
    parts = (part for piece in rows.pieces() for part in rows.parts(piece, ["id"]))
    assert ids(next(parts)) == [*range(_PIECE)]

    rows.close()

    with pytest.raises(FileClosed, match="rows"):
        next(parts)


def ids(part: Part) -> list[int]:
    found: list[int] = part.batch.column("id").to_pylist()
    return found


def outline(digests: str, *, ascending: bool) -> Outline:
    """Return a file with a piece of one part for each letter."""
    pieces = [Piece(range(one, one + 1), range(one, one + 1), one) for one in range(len(digests))]
    ranges = tuple(KeyRange(1, (one, one)) for one in range(len(digests))) if ascending else None
    return Outline(tuple(pieces), tuple(one.encode() for one in digests), ranges)


def in_place(*files: str) -> InPlace:
    whole = frozenset(tuple(one.encode() for one in file) for file in files)
    return InPlace(frozenset(one for file in whole for one in file), whole)


def test_pieces_that_are_known_are_not_lacking() -> None:
    file = outline("abc", ascending=True)

    assert [piece.first_row for piece in file.lacking(in_place("ac"))] == [1]
    assert file.to_remember(in_place("ac"), changed=False) == [b"b"]


def test_a_file_in_no_order_is_known_as_a_whole_or_not_at_all() -> None:
    file = outline("abc", ascending=False)

    assert file.lacking(in_place("abc")) == []
    assert file.to_remember(in_place("abc"), changed=False) == []
    assert file.lacking(in_place("ab", "c")) == [*file.pieces]
    assert file.to_remember(in_place("ab", "c"), changed=False) == file.digests


def test_after_a_change_the_whole_file_is_remembered() -> None:
    assert outline("abc", ascending=True).to_remember(in_place("ac"), changed=True) == (
        b"a",
        b"b",
        b"c",
    )


def test_keys_that_ascend_have_the_ends_of_every_piece(tmp_path: Path) -> None:
    write(tmp_path / "rows", wide(_PART + 2))
    rows = ParquetRows(tmp_path / "rows", "rows")

    ranges = key_ranges(rows, ("id",))

    assert ranges == (KeyRange(_PART, (0, _PART - 1)), KeyRange(2, (_PART, _PART + 1)))
    rows.close()


def test_one_row_ascends(tmp_path: Path) -> None:
    write(tmp_path / "rows", pa.table({"id": [5]}))
    rows = ParquetRows(tmp_path / "rows", "rows")

    assert key_ranges(rows, ("id",)) == (KeyRange(1, (5, 5)),)

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

    assert key_ranges(rows, ("year", "bank")) == (KeyRange(3, (2012, "b", 2013, "c")),)
    assert key_ranges(rows, ("bank", "year")) is None

    rows.close()

"""Delimited text becomes rows that say what the file says."""

import csv
import io
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.drop_table import Delimiter, DropColumn, DropTable
from services.collector.delimited import shape_of
from services.processor.delimited_rows import read_parts
from shared.errors import RowsUnaccounted
from tests.dropped_files import DROPPED, listed

NOTES = DropTable(
    name="notes",
    patterns=("notes*",),
    columns=(DropColumn(name="a"), DropColumn(name="b"), DropColumn(name="c", required=False)),
)
TYPED = DropTable(
    name="typed",
    patterns=("typed*",),
    columns=(
        DropColumn(name="n", kind="int"),
        DropColumn(name="amount", kind="decimal"),
        DropColumn(name="day", kind="date", required=False),
        DropColumn(name="moment", kind="timestamp"),
    ),
)
GOOD = ["1", "2.50", "2021-02-28", "2021-11-07T02:48:42Z"]
CELLS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12)


def frames(data: bytes, table: DropTable) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows and quarantine of a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(data)
        file = listed(path, table, "file.csv", version=3)
        assert file.dropped is not None
        parts = list(read_parts(file, file.dropped, path, table))
    return pl.concat([p.frame for p in parts]), pl.concat([p.quarantine for p in parts])


def problems(*cells: str) -> list[str] | None:
    line = io.StringIO()
    csv.writer(line).writerows([GOOD, cells])
    frame, _ = frames(line.getvalue().encode(), TYPED)
    found: list[list[str] | None] = frame["problems"].to_list()
    assert found[0] is None
    return found[1]


@given(
    st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=20),
    st.sampled_from([",", ";"]),
    st.sampled_from(["utf-8", "utf-8-sig"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_whatever_is_written_as_csv_is_read_as_it_was(
    rows: list[list[str]], delimiter: Delimiter, encoding: str, ends: str, header: bool
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator=ends)
    writer.writerows([["c", "A", "b"], *rows] if header else rows)
    frame, quarantine = frames(text.getvalue().encode(encoding), NOTES)
    order = ["c", "a", "b"] if header else ["a", "b", "c"]
    assert quarantine.height == 0
    assert frame.select(order).rows() == [tuple(cell or None for cell in row) for row in rows]
    assert frame["row_number"].to_list() == list(range(1, len(rows) + 1))


def test_a_row_knows_its_file_version_and_drop() -> None:
    frame, _ = frames(b"a,b,c\n\nx,y,z\n", NOTES)
    assert frame.row(0, named=True) == {
        "a": "x",
        "b": "y",
        "c": "z",
        "problems": None,
        "filename": "file.csv",
        "file_version": 3,
        "row_number": 1,
        "dropped_at": DROPPED,
    }


def test_text_is_kept_as_it_is_and_blank_required_cells_are_flagged() -> None:
    frame, _ = frames(b"  x ,,\n007,  ,0\n", NOTES)
    assert frame.select("a", "b", "c", "problems").rows() == [
        ("  x ", None, None, ["b is blank"]),
        ("007", "  ", "0", ["b is blank"]),
    ]


def test_a_record_of_another_width_is_quarantined_with_its_text() -> None:
    frame, quarantine = frames(b'1,2,3\n1,2\n4,5,6\n"a,b",2,3,4\n', NOTES)
    assert frame["row_number"].to_list() == [1, 3]
    assert quarantine.select("file", "row_number", "rule", "reason", "record").rows() == [
        ("file.csv", 2, "field_count", "2 cells, notes has 3 columns", "1,2"),
        ("file.csv", 4, "field_count", "4 cells, notes has 3 columns", '"a,b",2,3,4'),
    ]


@pytest.mark.parametrize(
    ("place", "cell", "said"),
    [
        (0, "x", "n is not of type int"),
        (0, "1.0", "n is not of type int"),
        (0, "12345678901234567890", "n is not of type int"),
        (0, "\u0661", "n is not of type int"),
        (0, " ", "n is blank"),
        (1, "1,5", "amount is not of type decimal"),
        (1, "NaN", "amount is not of type decimal"),
        (2, "2021-02-29", "day is not of type date"),
        (2, "0000-01-01", "day is not of type date"),
        (3, "", "moment is blank"),
        (3, "2021-11-07", "moment is not of type timestamp"),
        (3, "2021-11-07T25:00:00Z", "moment is not of type timestamp"),
        (3, "2021-11-07T02:48:42+99:00", "moment is not of type timestamp"),
    ],
)
def test_a_cell_that_is_not_what_was_declared_is_named(place: int, cell: str, said: str) -> None:
    cells = [*GOOD[:place], cell, *GOOD[place + 1 :]]
    assert problems(*cells) == [said]


@pytest.mark.parametrize(
    ("place", "cell"),
    [(0, "-7"), (0, " +7 "), (1, ".5"), (1, "-0"), (2, ""), (3, "2021-11-07 02:48:42.123+01:00")],
)
def test_a_cell_that_is_written_another_way_is_no_problem(place: int, cell: str) -> None:
    assert problems(*GOOD[:place], cell, *GOOD[place + 1 :]) is None


def test_all_problems_of_a_row_are_told() -> None:
    assert problems("", "x", "y", "") == [
        "n is blank",
        "amount is not of type decimal",
        "day is not of type date",
        "moment is blank",
    ]


def test_a_file_with_another_number_of_records_than_was_counted_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"1,2,3\n4,5,6\n")
    file = listed(path, NOTES, "file.csv")
    assert file.dropped is not None
    assert shape_of(path, NOTES).rows == 2
    other: Any = file.model_copy(update={"rows": 3})
    with pytest.raises(RowsUnaccounted, match=r"file\.csv: 2 records, the collector counted 3"):
        list(read_parts(other, file.dropped, path, NOTES))

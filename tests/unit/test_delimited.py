"""What the collector finds a dropped file to be, and what it refuses."""

from pathlib import Path

import pytest

from contracts.drop_table import DropColumn, DropTable
from services.collector.delimited import Shape, UnfitFile, shape_of

STAFF = DropTable(
    name="staff",
    patterns=("staff*.csv",),
    columns=(
        DropColumn(name="id", kind="int"),
        DropColumn(name="name"),
        DropColumn(name="since", kind="date"),
    ),
)


def shape(folder: Path, data: bytes, table: DropTable = STAFF) -> Shape:
    path = folder / "file"
    path.write_bytes(data)
    return shape_of(path, table)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"1,Ada,2021-01-01\n2,Bo,\n", Shape(",", header=False, rows=2), id="comma"),
        pytest.param(b"1;Ada;2021-01-01\r\n", Shape(";", header=False, rows=1), id="semicolon"),
        pytest.param(
            b"\xef\xbb\xbf1,Ada,2021-01-01\n",
            Shape(",", header=False, rows=1),
            id="byte-order mark",
        ),
        pytest.param(
            b"id,name,since\n1,Ada,2021-01-01", Shape(",", header=True, rows=1), id="header"
        ),
        pytest.param(
            b"\xef\xbb\xbfSince; NAME ;Id\r\n2021-01-01;Ada;1\r\n",
            Shape(";", header=True, rows=1),
            id="header in another order and case",
        ),
        pytest.param(
            b'1,"Ada\nof, ""Ely"";",2021-01-01\n\n\n2,Bo,\n',
            Shape(",", header=False, rows=2),
            id="quoted newline, empty lines",
        ),
        pytest.param(
            b'"1","a;b","2021-01-01"\n', Shape(",", header=False, rows=1), id="everything quoted"
        ),
        pytest.param(
            b"1,a;b;c,2021-01-01\n2,d;e;f,\n", Shape(",", header=False, rows=2), id="both occur"
        ),
        pytest.param(b"1,Ada\n2,Bo,2021-01-01\n", Shape(",", header=False, rows=2), id="one short"),
        pytest.param(b"1,Ada,2021-01-01\r2,Bo,\r", Shape(",", header=False, rows=2), id="CR alone"),
        pytest.param(b",name,\n", Shape(",", header=False, rows=1), id="a cell like a column"),
        pytest.param(b"1;;\n;;\n;;\n", Shape(";", header=False, rows=3), id="rows of blanks"),
    ],
)
def test_a_file_is_recognised(tmp_path: Path, data: bytes, expected: Shape) -> None:
    assert shape(tmp_path, data) == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "it has no records", id="empty"),
        pytest.param(b"\n\r\n", "it has no records", id="empty lines"),
        pytest.param(b"id,name,since\n", "a header and no records", id="header alone"),
        pytest.param(
            b"1,2\n3,4\n", "has 2 by ',' and 1 by ';' cells; staff has 3 columns: id", id="width"
        ),
        pytest.param(b"id,name,born\n1,Ada,x\n", "header lacks since and has born", id="header"),
        pytest.param(b"1,Ada,\n2,\xff\xfe,\n", "not UTF-8 somewhere after line", id="not UTF-8"),
        pytest.param(b"1,Ada,\n2,B\0,\n", "line 2 holds a NUL", id="NUL"),
        pytest.param(b'1,Ada,\n2,"Bo,\n', "record 2, to line 2: unexpected end", id="open quote"),
        pytest.param(b'1,Ada,\n2,"B"o,\n', "record 2, to line 2: ',' expected", id="stray quote"),
        pytest.param(b"1,Ada,\n" + b"2" * 1_200_000, "line 2 is longer than", id="no line ends"),
        pytest.param(
            b"1,Ada,\n" + b'"\n",' * 400_000, "is longer than", id="a record without an end"
        ),
    ],
)
def test_what_cannot_be_taken_is_refused_with_its_reason(
    tmp_path: Path, data: bytes, reason: str
) -> None:
    with pytest.raises(UnfitFile, match=reason.replace("(", r"\(")):
        shape(tmp_path, data)


def test_a_file_of_one_column_needs_no_delimiter(tmp_path: Path) -> None:
    words = DropTable(name="words", patterns=("w",), columns=(DropColumn(name="word"),))
    assert shape(tmp_path, b"word\none; two\n", words) == Shape(",", header=True, rows=1)

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.processor.cdr_cells import Cells, split_cells
from services.processor.cdr_files import Member
from services.processor.cdr_parse import read_text
from shared.errors import SchemaMismatch
from tests.call_report_files import A_BANK, panel, schedule

SCHEDULE = Member("rie", 1, 1, "RIE.txt")
PANEL = Member("por", 1, 1, "POR.txt")
# What a cell may hold: anything but the separators and the characters no text column can keep.
CELL = st.text(
    st.characters(codec="utf-8", exclude_characters="\t\r\n\x00", exclude_categories=["Cs"]),
    max_size=12,
)
TEXT = st.lists(st.sampled_from(['"', "\n", "\r", " ", "a", "'", ",", "\\"]), max_size=8).map(
    "".join
)


def cells(data: bytes, text_column: str | None = None) -> Cells:
    return split_cells(read_text(data, SCHEDULE), text_column)


def rows_of(found: Cells) -> list[tuple[str | None, ...]]:
    texts = found.frame.drop("row_number")
    restored = [[_restore(found, cell) for cell in row] for row in texts.iter_rows()]
    return [tuple(row) for row in restored]


def _restore(found: Cells, cell: str | None) -> str | None:
    for stand_in, original in found.stand_ins.items():
        cell = cell.replace(stand_in, original) if cell else cell
    return cell


@given(st.lists(st.tuples(st.integers(1, 10**7).map(str), CELL, CELL, CELL), max_size=20))
def test_a_written_schedule_is_read_back_cell_by_cell(rows: list[tuple[str, ...]]) -> None:
    found = cells(schedule(["TEXT1111", "TEXT2222", "TEXT3333"], rows))
    assert found.misfits == ()
    assert rows_of(found) == [tuple(cell or None for cell in row) for row in rows]


@given(st.lists(TEXT, max_size=20))
def test_quotes_and_line_breaks_inside_text_stay_where_they_are(texts: list[str]) -> None:
    # A CR just before an LF would be a record's end.
    texts = [re.sub(r"\r+\n", "\n", text) for text in texts]
    rows = [(str(number), text, "7") for number, text in enumerate(texts, 1)]
    found = cells(schedule(["TEXT4769", "RIAD4769"], rows))
    assert found.misfits == ()
    assert rows_of(found) == [(number, text or None, last) for number, text, last in rows]


@given(st.sets(st.integers(0, 9)), st.sampled_from([1, 2]))
def test_records_with_another_number_of_fields_are_set_aside_whole(
    broken: set[int], surplus: int
) -> None:
    rows = [[str(bank), "1", "2"] for bank in range(10)]
    for place in broken:
        rows[place] = [*rows[place], *["3"] * surplus] if place % 2 else rows[place][:2]
    found = cells(schedule(["RCON0010", "RCON0020"], rows))
    assert {misfit.row_number - 1 for misfit in found.misfits} == broken
    assert found.frame.height + len(found.misfits) == 10
    assert {misfit.rule for misfit in found.misfits} <= {"field_count"}


def test_a_quarantined_record_keeps_its_text_number_and_bank() -> None:
    data = schedule(["TEXT4769", "TEXT4467"], [["37", "a", "b"], ["242", "one\nline", "b", "c"]])
    (misfit,) = cells(data).misfits
    assert (misfit.file, misfit.row_number, misfit.idrssd) == ("RIE.txt", 2, 242)
    assert misfit.record == "242\tone\nline\tb\tc\t"
    assert misfit.reason == "5 fields instead of 4, the last one empty"


def test_a_surplus_tab_belongs_to_the_only_text_column() -> None:
    data = schedule(
        ["RCON6979", "TEXT6980"], [["37", "true", "before\tafter"], ["242", "false", ""]]
    )
    found = cells(data, text_column="TEXT6980")
    assert rows_of(found) == [("37", "true", "before\tafter"), ("242", "false", None)]
    assert found.repaired == 1


def test_too_few_fields_are_never_repaired() -> None:
    found = cells(schedule(["RCON6979", "TEXT6980"], [["37", "true"]]), text_column="TEXT6980")
    assert [misfit.rule for misfit in found.misfits] == ["field_count"]


def test_a_nul_character_sends_its_record_to_quarantine() -> None:
    found = cells(schedule(["TEXT6980"], [["37", "a\x00b"], ["242", "fine"]]))
    assert [(misfit.rule, misfit.idrssd) for misfit in found.misfits] == [("nul_byte", 37)]
    assert rows_of(found) == [("242", "fine")]


def test_a_last_record_without_its_line_end_is_a_record() -> None:
    data = schedule(["RCON0010"], [["37", "1"], ["242", "2"]]).removesuffix(b"\r\n")
    assert rows_of(cells(data)) == [("37", "1"), ("242", "2")]


def test_a_record_cut_off_before_its_last_tab_is_set_aside() -> None:
    data = schedule(["RCON0010"], [["37", "1"], ["242", "2"]]).removesuffix(b"\t\r\n")
    found = cells(data)
    assert rows_of(found) == [("37", "1")]
    assert [misfit.row_number for misfit in found.misfits] == [2]


def test_a_record_whose_last_tab_is_elsewhere_is_set_aside() -> None:
    data = schedule(["RCON0010"], [["37", "1"]]).replace(b"37\t1\t\r", b"37\t1\t2\r")
    assert [misfit.rule for misfit in cells(data).misfits] == ["field_count"]


def test_lines_may_end_in_lf_alone_without_a_tab() -> None:
    data = schedule(["RCON0010"], [["37", "1"]]).replace(b"\t\r\n", b"\n")
    assert rows_of(cells(data)) == [("37", "1")]


def test_a_schedule_without_columns_has_only_its_banks() -> None:
    assert rows_of(cells(schedule([], [["37"], ["242"]]))) == [("37",), ("242",)]


def test_a_file_without_records_has_its_columns() -> None:
    found = cells(schedule(["RCON0010"], []))
    assert found.frame.columns == ["row_number", "idrssd", "RCON0010"]
    assert found.frame.height == 0


def test_descriptions_come_from_the_second_line() -> None:
    source = read_text(schedule(["RCON2170"], [], ["TOTAL ASSETS"]), SCHEDULE)
    assert source.header.descriptions == ("TOTAL ASSETS",)


def test_the_panel_has_one_header_line() -> None:
    source = read_text(panel({37: A_BANK}), PANEL)
    assert source.header.columns[4] == "Financial Institution Name"
    assert len(source.records) == 1


@pytest.mark.parametrize(
    ("text", "encoding", "bank"),
    [("Nuñez".encode(), "utf-8", "Nuñez"), ("Nuñez".encode("cp1252"), "cp1252", "Nuñez")],
)
def test_text_outside_ascii_is_read_and_its_encoding_told(
    text: bytes, encoding: str, bank: str
) -> None:
    data = schedule(["RSSD9017"], [["37", "NAME"]]).replace(b"NAME", text)
    source = read_text(data, SCHEDULE)
    assert source.encoding == encoding
    assert rows_of(split_cells(source)) == [("37", bank)]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "starts with '', not with IDRSSD"),
        (b"<html><body>Error</body></html>", "starts with '<html>"),
        (b'"IDRSSD"\tRCON0010\tRCON0010\t\r\n\t\t\t\r\n', "names a column twice"),
        (b'"IDRSSD"\tTotal assets\t\r\n\tA\t\r\n', "'Total assets' is not a code"),
        (b'"IDRSSD"\tRCON0010\t\r\n37\t1\t\r\n', "line 2 does not describe the 1 columns"),
        (b'"IDRSSD"\tRCON0010\t\r\n\tA\tB\t\r\n', "line 2 does not describe the 1 columns"),
    ],
)
def test_a_file_of_another_format_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(SchemaMismatch, match=sentence):
        read_text(data, SCHEDULE)

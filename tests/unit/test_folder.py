import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import Period
from contracts.datasets.call_reports import SOURCE
from services.collector.folder import check_quarter, missing_parts
from shared.errors import UnexpectedDownload
from tests.crafted_zips import quarter_files

QUARTER = Period(2013, 1)


def names(*schedules: str, period: Period = QUARTER) -> list[str]:
    return list(quarter_files(period, *schedules))


def test_members_of_the_quarter_pass_whatever_else_is_beside_them() -> None:
    check_quarter([*names("RC", "RCB(1 of 2)"), "Some new file.pdf"], SOURCE, QUARTER)


def test_one_member_of_another_quarter_is_refused_by_name() -> None:
    other = names("RI", period=Period(2012, 4))
    with pytest.raises(UnexpectedDownload) as raised:
        check_quarter(names("RC") + other, SOURCE, QUARTER)
    assert "12312012.txt' is not of 2013Q1 (03312013)" in str(raised.value)


@pytest.mark.parametrize("found", [[], ["Readme.txt"], ["FFIEC CDR Call Report.xml"]])
def test_a_folder_without_the_sources_files_is_refused(found: list[str]) -> None:
    with pytest.raises(UnexpectedDownload, match="no member is named like the Tab Delimited files"):
        check_quarter(found, SOURCE, QUARTER)


def test_nothing_is_missing_from_a_complete_folder() -> None:
    assert missing_parts(names("RC", "RCB(1 of 2)", "RCB(2 of 2)"), SOURCE) == []


def test_a_missing_part_is_told_with_its_table() -> None:
    # As in the real zip of 2020Q3.
    assert missing_parts(names("RC", "RCO(2 of 2)"), SOURCE) == [
        "RCO: part 1 of 2 is missing from the source"
    ]


def test_several_missing_parts_of_several_tables_are_told_in_order() -> None:
    assert missing_parts(names("RCRII(3 of 4)", "RCB(1 of 2)", "RCRII(1 of 4)"), SOURCE) == [
        "RCB: part 2 of 2 is missing from the source",
        "RCRII: part 2, 4 of 4 is missing from the source",
    ]


@given(parts=st.integers(2, 9), kept=st.data())
def test_exactly_the_absent_parts_are_told(parts: int, kept: st.DataObject) -> None:
    numbers = kept.draw(st.sets(st.integers(1, parts), min_size=1))
    sentences = missing_parts(names(*(f"RCN({one} of {parts})" for one in numbers)), SOURCE)
    absent = [str(one) for one in range(1, parts + 1) if one not in numbers]
    told = [f"RCN: part {', '.join(absent)} of {parts} is missing from the source"]
    assert sentences == (told if absent else [])

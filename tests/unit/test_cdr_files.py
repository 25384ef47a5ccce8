import pytest

from contracts import Period
from services.processor.cdr_files import Member, member_named, tables_of
from shared.errors import UnexpectedMember

QUARTER = Period(2013, 1)


def test_a_schedule_name_tells_table_and_part() -> None:
    name = "FFIEC CDR Call Schedule RCRII 03312013(3 of 4).txt"
    assert member_named(name, QUARTER) == Member("rcrii", 3, 4, name)


def test_a_schedule_without_parts_is_part_one_of_one() -> None:
    name = "FFIEC CDR Call Schedule RC 03312013.txt"
    assert member_named(name, QUARTER) == Member("rc", 1, 1, name)


def test_the_panel_of_reporters_is_the_table_por() -> None:
    name = "FFIEC CDR Call Bulk POR 03312013.txt"
    assert member_named(name, QUARTER) == Member("por", 1, 1, name)


def test_a_file_of_another_quarter_is_refused() -> None:
    with pytest.raises(UnexpectedMember, match="is not a file of 2013Q1, which ends 2013-03-31"):
        member_named("FFIEC CDR Call Schedule RC 06302013.txt", QUARTER)


def test_part_three_of_two_is_refused() -> None:
    with pytest.raises(UnexpectedMember, match="part 3 of 2"):
        member_named("FFIEC CDR Call Schedule RCB 03312013(3 of 2).txt", QUARTER)


def test_parts_are_grouped_in_order_whatever_the_order_of_names() -> None:
    names = [f"FFIEC CDR Call Schedule RCB 03312013({part} of 2).txt" for part in (2, 1)]
    tables, others = tables_of(names, QUARTER)
    assert [member.part for member in tables["rcb"]] == [1, 2]
    assert others == ()


def test_files_no_table_is_made_of_are_named_except_the_readme() -> None:
    _, others = tables_of(["Readme.txt", "surprise.xml"], QUARTER)
    assert others == ("surprise.xml",)


def test_the_same_part_twice_is_refused() -> None:
    names = ["FFIEC CDR Call Schedule RC 03312013.txt"] * 2
    with pytest.raises(UnexpectedMember, match="rc: the same part came twice"):
        tables_of(names, QUARTER)


def test_parts_that_disagree_on_their_number_are_refused() -> None:
    names = [f"FFIEC CDR Call Schedule RC 03312013({part}).txt" for part in ("1 of 2", "2 of 3")]
    with pytest.raises(UnexpectedMember, match="rc: the parts disagree"):
        tables_of(names, QUARTER)

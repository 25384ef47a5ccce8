import io
import re
from collections import Counter
from functools import cache
from pathlib import Path
from zipfile import ZipFile

import pytest

from contracts import Period
from contracts.column_types import declared_types
from ops.portal.banks import Banks
from ops.portal.layout import Column, parts_of
from ops.portal.quarters import MadeUpQuarters, make_zip
from ops.portal.statements import statements

BANKS = Banks(seed=1, count=60)
FRACTIONS, PERCENT = Period(2013, 1), Period(2020, 3)
QUARTERS = [FRACTIONS, PERCENT]
KINDS = {"amount": "int", "flag": "bool", "ratio": "float", "note": "text", "code": "text"}


@cache
def members(period: Period, restated: int = 0) -> dict[str, bytes]:
    with ZipFile(io.BytesIO(make_zip(BANKS, period, restated))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def schedules(period: Period) -> dict[str, bytes]:
    return {name: data for name, data in members(period).items() if "Schedule" in name}


def table(data: bytes) -> list[list[str]]:
    """Header, descriptions and rows; the empty field after the last tab is left out."""
    return [line.split("\t")[:-1] for line in data.decode("ascii").split("\r\n")[:-1]]


def member(period: Period, schedule: str) -> list[list[str]]:
    return table(members(period)[f"FFIEC CDR Call Schedule {schedule} {period.end:%m%d%Y}.txt"])


def column(period: Period, schedule: str, code: str) -> list[str]:
    header, _, *rows = member(period, schedule)
    return [row[header.index(code)] for row in rows]


def panel(period: Period) -> list[list[str]]:
    data = members(period)[f"FFIEC CDR Call Bulk POR {period.end:%m%d%Y}.txt"]
    return [line.split("\t") for line in data.decode("ascii").split("\r\n")[:-1]]


def columns(period: Period) -> list[Column]:
    return [one for part in parts_of(period) for one in part.columns]


def test_a_quarter_is_the_same_to_the_byte_for_one_seed() -> None:
    assert make_zip(Banks(3, 20), FRACTIONS) == make_zip(Banks(3, 20), FRACTIONS)


def test_another_seed_or_quarter_is_another_zip() -> None:
    zips = {make_zip(Banks(seed, 20), period) for seed, period in ((3, FRACTIONS), (4, FRACTIONS))}
    assert len({*zips, make_zip(Banks(3, 20), PERCENT)}) == 3


@pytest.mark.parametrize("period", QUARTERS, ids=str)
def test_members_are_named_as_the_site_names_them(period: Period) -> None:
    day = f"{period.end:%m%d%Y}"
    pattern = rf"FFIEC CDR Call (Bulk POR|Schedule [A-Z]+) {day}(\(\d of \d\))?\.txt|Readme\.txt"
    assert [name for name in members(period) if not re.fullmatch(pattern, name)] == []


@pytest.mark.parametrize("period", QUARTERS, ids=str)
def test_every_file_is_ascii_without_a_bom_or_nul(period: Period) -> None:
    for data in members(period).values():
        assert data.isascii()
        assert b"\0" not in data


@pytest.mark.parametrize("period", QUARTERS, ids=str)
def test_schedule_lines_end_with_a_tab_and_have_as_many_fields_as_the_header(
    period: Period,
) -> None:
    for data in schedules(period).values():
        lines = data.decode().split("\r\n")
        assert lines.pop() == ""
        assert all(line.endswith("\t") for line in lines)
        assert len({line.count("\t") for line in lines}) == 1


@pytest.mark.parametrize("period", QUARTERS, ids=str)
def test_only_the_first_header_cell_is_quoted(period: Period) -> None:
    for data in schedules(period).values():
        header, descriptions, *_ = table(data)
        assert header[0] == '"IDRSSD"'
        assert not any('"' in cell for cell in (*header[1:], *descriptions))


def test_panel_lines_have_no_tab_at_their_end() -> None:
    header, *rows = panel(FRACTIONS)
    assert (header[0], len(header)) == ('"IDRSSD"', 12)
    assert {len(row) for row in rows} == {12}
    assert all(row[-1].startswith("2013-0") for row in rows)


@pytest.mark.parametrize("period", QUARTERS, ids=str)
def test_every_member_has_the_panels_banks_ascending(period: Period) -> None:
    ids = [row[0] for row in panel(period)[1:]]
    assert ids == sorted(set(ids), key=int)
    for data in schedules(period).values():
        assert [row[0] for row in table(data)[2:]] == ids


@pytest.mark.parametrize("period", QUARTERS, ids=str)
def test_no_part_has_more_than_240_codes_and_parts_share_none(period: Period) -> None:
    codes: dict[str, list[str]] = {}
    for part in parts_of(period):
        assert len(part.columns) <= 240
        codes.setdefault(part.schedule, []).extend(one.code for one in part.columns)
    for found in codes.values():
        assert len(found) == len(set(found))


@pytest.mark.parametrize("period", QUARTERS, ids=str)
def test_schedules_share_no_code_but_for_the_one_that_comes_twice(period: Period) -> None:
    once = Counter(
        one.code for part in parts_of(period) if part.schedule != "RCEI" for one in part.columns
    )
    assert max(once.values()) == 1


@pytest.mark.parametrize("period", QUARTERS, ids=str)
def test_rce_and_rcei_are_the_same_bytes(period: Period) -> None:
    day = f"{period.end:%m%d%Y}"
    files = members(period)
    assert (
        files[f"FFIEC CDR Call Schedule RCE {day}.txt"]
        == files[f"FFIEC CDR Call Schedule RCEI {day}.txt"]
    )


@pytest.mark.parametrize("schedule", ["GI", "GL"])
def test_two_schedules_have_no_data_column(schedule: str) -> None:
    assert {len(row) for row in member(FRACTIONS, schedule)} == {1}


def test_one_schedule_is_confidential_throughout() -> None:
    _, _, *rows = member(PERCENT, "CI")
    assert {cell for row in rows for cell in row[1:]} == {"CONF"}


def test_amounts_elsewhere_are_confidential_for_some_banks() -> None:
    hidden = [
        row.count("CONF") for data in schedules(FRACTIONS).values() for row in table(data)[2:]
    ]
    assert sum(hidden) > 41 * BANKS.count - BANKS.count  # more than CI's own 40 columns


def test_descriptions_are_cut_some_blank_and_not_unique() -> None:
    descriptions = [cell for data in schedules(FRACTIONS).values() for cell in table(data)[1][1:]]
    assert max(map(len, descriptions)) <= 36
    assert "" in descriptions
    assert len(set(filter(None, descriptions))) < len(list(filter(None, descriptions)))


def test_ratios_are_fractions_until_2014_and_percent_from_2015() -> None:
    before = [*filter(None, column(FRACTIONS, "RC", "RCON2170"))]
    assert all(re.fullmatch(r"\d+", cell) for cell in before)
    old = table(members(FRACTIONS)["FFIEC CDR Call Schedule RCR 03312013(1 of 2).txt"])
    place = old[0].index("RCON7204")
    fractions = [row[place] for row in old[2:] if row[place]]
    assert fractions
    assert all(re.fullmatch(r"0\.\d{6}", cell) for cell in fractions)
    percents = [*filter(None, column(PERCENT, "RCRI", "RCOA7204"))]
    assert percents
    assert all(re.fullmatch(r"\d+\.\d{4}%", cell) for cell in percents)


def test_flags_are_lower_case_but_for_one_bank() -> None:
    found = Counter(
        cell
        for data in schedules(PERCENT).values()
        for row in table(data)[2:]
        for cell in row[1:]
        if cell.lower() in {"true", "false"}
    )
    assert set(found) == {"true", "false", "TRUE", "FALSE"}
    assert found["TRUE"] + found["FALSE"] < found["true"]


def test_texts_hold_line_feeds_quotes_and_replaced_characters() -> None:
    texts = [
        cell
        for period in QUARTERS
        for data in schedules(period).values()
        for row in table(data)[2:]
        for cell in row[1:]
        if " " in cell or cell in {"N/A", "0.00000000"}
    ]
    assert any("\n" in text for text in texts)
    assert any(text.startswith('"') for text in texts)
    assert any(text.count('"') % 2 for text in texts)
    assert any("?" in text for text in texts)
    assert max(map(len, texts)) > 1_400
    assert {"N/A", "0.00000000"} <= set(texts)


def test_dates_and_codes_are_spelt_in_each_of_the_sites_ways() -> None:
    assert set(column(PERCENT, "ENT", "RCON9999")) == {"20200930"}
    assert set(column(PERCENT, "RI", "RIAD9106")) == {"", "0", "00000000", "20010630"}
    assert set(column(PERCENT, "RC", "RCON8678")) == {"", "1231", "12/31", "12/31/2020"}
    assert {"1a", "2b"} < set(column(PERCENT, "RC", "RCON6724"))


def test_certificates_keep_leading_zeros_in_the_schedule_and_lose_them_in_the_panel() -> None:
    in_schedule = column(PERCENT, "ENT", "RSSD9050")
    assert {len(cell) for cell in in_schedule} == {5}
    assert any(cell.startswith("0") for cell in in_schedule)
    assert [row[1] for row in panel(PERCENT)[1:]] == [cell.lstrip("0") for cell in in_schedule]


def test_the_panel_has_zeros_for_none_blanks_and_quotes() -> None:
    rows = panel(PERCENT)[1:]
    assert "0" in {row[2] for row in rows}
    assert "0" in {row[4] for row in rows}
    assert all(row[6].endswith(" ") for row in rows)
    assert any('"M"' in row[6] for row in rows)
    assert {len(row[9]) for row in rows} == {5, 9}
    assert {row[10] for row in rows} == {"031", "041", "051"}


def test_a_state_can_be_a_zero_and_a_blank() -> None:
    assert "0 " in Banks(seed=1, count=5_000).states


def test_amounts_of_the_year_so_far_may_be_negative() -> None:
    assert any(cell.startswith("-") for cell in column(PERCENT, "RI", "RIAD4340"))


def test_the_members_drift_as_the_real_ones_did() -> None:
    def tables(year: int, quarter: int) -> Counter[str]:
        return Counter(part.schedule for part in parts_of(Period(year, quarter)))

    assert "RIC" not in tables(2012, 4)
    assert tables(2013, 1)["RIC"] == 1
    assert {"RCR"} == {"RCR", "RCRIA", "RCRIB", "RCRI"} & set(tables(2013, 4))
    assert {"RCRIA", "RCRIB"} == {"RCR", "RCRIA", "RCRIB", "RCRI"} & set(tables(2014, 4))
    assert [tables(*when)["RCRII"] for when in ((2014, 4), (2016, 4), (2017, 1))] == [2, 3, 4]
    assert ("SU" in tables(2016, 4), "SU" in tables(2017, 1)) == (False, True)
    assert {"RICI", "RICII"} == {"RIC", "RICI", "RICII"} & set(tables(2019, 2))
    assert {"RIC", "RICI", "RICII"} < set(tables(2019, 3))


def test_columns_of_one_quarter_are_absent_in_another() -> None:
    old, new = ({one.code for one in columns(period)} for period in QUARTERS)
    assert old - new
    assert new - old


def test_a_restatement_changes_some_amounts_of_few_banks() -> None:
    changed: set[str] = set()
    again = members(FRACTIONS, restated=1)
    for name, data in members(FRACTIONS).items():
        if "POR" in name or name == "Readme.txt":
            assert again[name] == data
            continue
        pairs = zip(table(data), table(again[name]), strict=True)
        changed |= {was[0] for was, now in pairs if was != now}
    assert len(changed) == 1  # of 60, at one in a hundred


@pytest.mark.parametrize("period", QUARTERS, ids=str)
def test_a_code_is_of_its_declared_type_or_made_up_and_undeclared(period: Period) -> None:
    declared = declared_types("call_reports")
    for one in columns(period):
        kind = declared.get(one.code)
        if one.code[4] in "YZ":
            assert kind is None, one
        elif one.kind == "date":
            assert kind in {"date", "text"}, one
        else:
            assert kind == KINDS[one.kind], one


def test_the_largest_banks_look_like_the_real_ones() -> None:
    banks = Banks(seed=1, count=5_000)
    assets = sorted(zip(banks.assets(PERCENT), banks.names, banks.states, strict=True))[::-1]
    ten = assets[:10]
    assert 1_000_000_000 < ten[0][0] < 4_000_000_000  # thousands of dollars
    assert ten[9][0] > 100_000_000
    assert len({name for _, name, _ in ten}) == 10
    assert all(state != "0 " for _, _, state in ten)
    assert 100_000 < assets[2_500][0] < 500_000
    assert 10**10 < sum(size for size, _, _ in assets) < 3 * 10**10


@pytest.mark.parametrize("period", QUARTERS, ids=str)
def test_a_balance_sheet_adds_up(period: Period) -> None:
    figures = statements(Banks(seed=1, count=500), period)
    assert (figures["2200"] + figures["3210"] <= figures["2170"]).all()
    assert (figures["2122"] < figures["2170"]).all()
    assert (figures["3210"] > 0).all()
    assert (figures["4073"] < figures["4107"]).all()


def test_banks_with_foreign_offices_report_rcfd_and_the_others_rcon() -> None:
    consolidated = column(FRACTIONS, "RC", "RCFD2170")
    domestic = column(FRACTIONS, "RC", "RCON2170")
    assert all(bool(one) != bool(other) for one, other in zip(consolidated, domestic, strict=True))
    assert any(consolidated)


def test_a_quarter_is_made_once_and_kept(tmp_path: Path) -> None:
    quarters = MadeUpQuarters(tmp_path / "cache", seed=1, banks=5)
    path = quarters.zip_of(FRACTIONS)
    path.write_bytes(b"kept")
    assert quarters.zip_of(FRACTIONS).read_bytes() == b"kept"
    assert list(path.parent.iterdir()) == [path]


def test_seeds_and_restatements_are_kept_apart(tmp_path: Path) -> None:
    paths = [
        MadeUpQuarters(tmp_path, 1, 5).zip_of(FRACTIONS),
        MadeUpQuarters(tmp_path, 2, 5).zip_of(FRACTIONS),
        MadeUpQuarters(tmp_path, 1, 5).zip_of(FRACTIONS, restated=1),
    ]
    assert len({path.read_bytes() for path in paths}) == 3

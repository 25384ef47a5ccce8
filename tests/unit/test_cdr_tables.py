from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from contracts.column_types import ColumnType, DeclaredTypes
from services.processor.cdr_files import Member
from services.processor.cdr_folder import CdrFolder
from services.processor.cdr_parse import read_text
from services.processor.cdr_part import read_part
from services.processor.cdr_tables import join_parts
from services.processor.clean_table import CleanTable
from services.processor.column_types import KnownTypes
from services.processor.quarantine import misfit_frame
from shared.errors import RowsUnaccounted, SchemaMismatch
from tests.call_report_files import (
    A_BANK,
    PANEL_NAME,
    QUARTER,
    panel,
    schedule,
    schedule_name,
    write_files,
)

AMOUNTS: dict[str, ColumnType] = {"RCON0010": "int", "RCON0020": "int", "TEXT0030": "text"}
TYPES = KnownTypes(DeclaredTypes(by_code=AMOUNTS), {})
TWO_TEXTS = KnownTypes(DeclaredTypes(by_series={"TEXT": "text"}), {})
FIRST, SECOND = schedule_name("RCB", "(1 of 2)"), schedule_name("RCB", "(2 of 2)")


def folder(tmp_path: Path, **tables: bytes) -> CdrFolder:
    files = {schedule_name(table.upper()): data for table, data in tables.items()}
    return CdrFolder(write_files(tmp_path, files), QUARTER)


def two_parts(tmp_path: Path, first: list[list[str]], second: list[list[str]]) -> CleanTable:
    files = {FIRST: schedule(["RCON0010"], first), SECOND: schedule(["RCON0020"], second)}
    return CdrFolder(write_files(tmp_path, files), QUARTER).clean("rcb", TYPES)


def quarantined(table: CleanTable) -> list[tuple[object, ...]]:
    return table.quarantine.select("file", "row_number", "idrssd", "rule").rows()


def test_a_row_knows_its_bank_quarter_file_and_place(tmp_path: Path) -> None:
    rows = [["37", "5", "word"], ["242", "CONF", ""]]
    table = folder(tmp_path, rc=schedule(["RCON0010", "TEXT0030"], rows)).clean("rc", TYPES)
    end, name = date(2013, 3, 31), schedule_name("RC")
    assert table.frame.rows(named=True) == [
        {
            "idrssd": 37,
            "period_end": end,
            "rcon0010": 5,
            "text0030": "word",
            "confidential": None,
            "filename": name,
            "row_number": 1,
        },
        {
            "idrssd": 242,
            "period_end": end,
            "rcon0010": None,
            "text0030": None,
            "confidential": ["rcon0010"],
            "filename": name,
            "row_number": 2,
        },
    ]


def test_parts_are_joined_by_bank(tmp_path: Path) -> None:
    table = two_parts(tmp_path, [["37", "1"], ["242", "CONF"]], [["37", "2"], ["242", "CONF"]])
    assert table.frame.select("idrssd", "rcon0010", "rcon0020").rows() == [
        (37, 1, 2),
        (242, None, None),
    ]
    assert table.frame["confidential"].to_list() == [None, ["rcon0010", "rcon0020"]]
    assert table.frame["filename"].unique().to_list() == [FIRST]
    assert (table.rows_in, table.quarantined, table.warnings) == (2, 0, ())


def test_parts_in_another_order_join_the_same(tmp_path: Path) -> None:
    table = two_parts(tmp_path, [["37", "1"], ["242", "3"]], [["242", "4"], ["37", "CONF"]])
    assert table.frame.select("idrssd", "rcon0010", "rcon0020", "confidential").rows() == [
        (37, 1, None, ["rcon0020"]),
        (242, 3, 4, None),
    ]


def test_a_bank_that_a_part_lacks_is_kept_with_nulls_and_a_warning(tmp_path: Path) -> None:
    table = two_parts(tmp_path, [["37", "1"], ["242", "3"]], [["37", "2"], ["505", "6"]])
    columns = ["idrssd", "rcon0010", "rcon0020", "filename", "row_number"]
    assert table.frame.select(columns).rows() == [
        (37, 1, 2, FIRST, 1),
        (242, 3, None, FIRST, 2),
        (505, None, 6, SECOND, 2),
    ]
    assert table.warnings == ("rcb: 2 banks are not in every part (IDRSSD 242, 505); kept",)


def test_a_bank_with_a_misfit_in_one_part_is_quarantined_whole(tmp_path: Path) -> None:
    table = two_parts(tmp_path, [["37", "1"], ["242", "3"]], [["37", "two"], ["242", "4"]])
    assert table.frame["idrssd"].to_list() == [242]
    assert quarantined(table) == [
        (FIRST, 1, 37, "sibling_quarantined"),
        (SECOND, 1, 37, "wrong_type"),
    ]
    assert (table.rows_in, table.quarantined) == (2, 1)


def test_a_record_of_an_unreadable_bank_takes_the_banks_its_part_lacks_with_it(
    tmp_path: Path,
) -> None:
    table = two_parts(tmp_path, [["37", "1"], ["242", "3"]], [["thirty", "2"], ["242", "4"]])
    assert table.frame["idrssd"].to_list() == [242]
    assert quarantined(table) == [
        (FIRST, 1, 37, "sibling_quarantined"),
        (SECOND, 1, None, "idrssd_not_integer"),
    ]
    assert table.rows_in == 1 + table.quarantined


def test_all_records_that_claim_the_same_bank_are_quarantined(tmp_path: Path) -> None:
    table = two_parts(
        tmp_path, [["37", "1"], ["37", "9"], ["242", "3"]], [["37", "2"], ["242", "4"]]
    )
    assert table.frame["idrssd"].to_list() == [242]
    assert {row[3] for row in quarantined(table)} == {"duplicate_idrssd", "sibling_quarantined"}
    assert (table.rows_in, table.quarantined) == (3, 2)


def test_a_misfit_tells_file_row_bank_rule_column_reason_and_record(tmp_path: Path) -> None:
    rows = [["37", "1", "a"], ["242", "1,5", "b"]]
    table = folder(tmp_path, rc=schedule(["RCON0010", "TEXT0030"], rows)).clean("rc", TYPES)
    assert table.quarantine.rows(named=True) == [
        {
            "file": schedule_name("RC"),
            "row_number": 2,
            "idrssd": 242,
            "rule": "wrong_type",
            "column": "rcon0010",
            "reason": "'1,5' is not int",
            "record": "242\t1,5\tb\t",
        }
    ]


def test_a_widened_code_is_reported_with_its_new_type(tmp_path: Path) -> None:
    table = folder(tmp_path, rc=schedule(["RCON0010"], [["37", "1.5"]])).clean("rc", TYPES)
    assert table.widened == {"RCON0010": "float"}
    assert table.warnings == (f"{schedule_name('RC')}: rcon0010 became float",)


def test_records_of_misfits_do_not_widen_a_column(tmp_path: Path) -> None:
    data = schedule(["RCON0010"], [["37", "1"], ["bank", "1.5"]])
    assert folder(tmp_path, rc=data).clean("rc", TYPES).widened == {}


def test_the_panel_has_names_types_and_no_confidential_column(tmp_path: Path) -> None:
    paths = write_files(tmp_path, {PANEL_NAME: panel({37: A_BANK})})
    (row,) = CdrFolder(paths, QUARTER).clean("por", TYPES).frame.rows(named=True)
    assert row["fdic_certificate_number"] == 10057
    assert row["occ_charter_number"] is None
    assert row["primary_aba_routing_number"] == "061107146"
    assert row["last_date_time_submission_updated_on"].isoformat() == "2013-04-20T08:58:24"
    assert "confidential" not in row


def test_a_surplus_tab_in_the_only_text_is_kept_and_told(tmp_path: Path) -> None:
    data = schedule(["RCON0010", "TEXT0030"], [["37", "1", "a\tb"]])
    table = folder(tmp_path, narr=data).clean("narr", TYPES)
    assert table.frame["text0030"].to_list() == ["a\tb"]
    assert "1 records had tabs inside their text" in table.warnings[0]


def test_a_surplus_tab_beside_two_texts_is_not_guessed_about(tmp_path: Path) -> None:
    data = schedule(["TEXT0030", "TEXT0040"], [["37", "a", "b", "c"], ["242", "a", "b"]])
    table = folder(tmp_path, rie=data).clean("rie", TWO_TEXTS)
    assert table.frame["idrssd"].to_list() == [242]
    assert table.quarantine["rule"].to_list() == ["field_count"]


def test_line_breaks_in_a_text_survive(tmp_path: Path) -> None:
    data = schedule(["RCON0010", "TEXT0030"], [["37", "1", "a\nb"]])
    table = folder(tmp_path, narr=data).clean("narr", TYPES)
    assert table.frame["text0030"].to_list() == ["a\nb"]


def test_a_schedule_without_records_is_an_empty_table(tmp_path: Path) -> None:
    table = folder(tmp_path, rc=schedule(["RCON0010"], [])).clean("rc", TYPES)
    assert table.frame.height == table.rows_in == 0
    assert table.frame.schema["rcon0010"] == pl.Int64


def test_a_code_in_two_parts_is_refused(tmp_path: Path) -> None:
    files = {name: schedule(["RCON0010"], [["37", "1"]]) for name in (FIRST, SECOND)}
    with pytest.raises(SchemaMismatch, match="rcb: several parts hold rcon0010"):
        CdrFolder(write_files(tmp_path, files), QUARTER).clean("rcb", TYPES)


def test_a_column_named_like_one_of_quarrys_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaMismatch, match="rc: 'FILENAME' would be a second 'filename'"):
        _ = folder(tmp_path, rc=schedule(["FILENAME"], [])).codes


def test_a_folder_without_call_report_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaMismatch, match="none of the 1 files"):
        CdrFolder(write_files(tmp_path, {"a.xml": b"<a/>"}), QUARTER)


def test_files_that_are_not_loaded_are_named(tmp_path: Path) -> None:
    files = {"a.xml": b"<a/>", schedule_name("RC"): schedule(["RCON0010"], [])}
    opened = CdrFolder(write_files(tmp_path, files), QUARTER)
    assert opened.warnings == ("a.xml: not a call-report file, not loaded",)


def test_the_most_work_comes_first(tmp_path: Path) -> None:
    small, large = schedule(["RCON0010"], []), schedule(["RCON0010"], [["37", "1"]] * 9)
    assert folder(tmp_path, rc=small, rcl=large).tables == ["rcl", "rc"]


def test_a_type_is_inferred_over_all_schedules_that_hold_the_code(tmp_path: Path) -> None:
    opened = folder(
        tmp_path,
        rc=schedule(["RCONX001", "RCONX002", "RCONX003"], [["37", "1", "CONF", "2.5"]]),
        rcl=schedule(["RCONX001", "RCONX003"], [["37", "0.5", "2"]]),
    )
    assert opened.infer(frozenset({"RCONX001", "RCONX002", "RCONX003"})) == {
        "RCONX001": "float",
        "RCONX002": "unknown",
        "RCONX003": "float",
    }


def test_the_dictionary_describes_every_column_of_every_table(tmp_path: Path) -> None:
    files = {
        FIRST: schedule(["RCON0010"], [], ["CASH"]),
        SECOND: schedule(["RCON0020", "RCONX001"], [], ["SECURITIES", ""]),
        PANEL_NAME: panel({}),
    }
    table = CdrFolder(write_files(tmp_path, files), QUARTER).dictionary(TYPES)
    rows = table.frame.filter(pl.col("table_name") == "rcb").drop("period_end", "table_name")
    assert rows.rows() == [
        ("rcon0010", "RCON0010", 1, "CASH", "int", FIRST, 1),
        ("rcon0020", "RCON0020", 2, "SECURITIES", "int", SECOND, 1),
        ("rconx001", "RCONX001", 3, None, "unknown", SECOND, 2),
    ]
    panel_rows = table.frame.filter(pl.col("table_name") == "por")
    assert panel_rows["mdrm"].null_count() == panel_rows.height == 11
    assert table.key == ("table_name", "column_name", "period_end")


def test_a_part_that_lost_a_record_is_not_joined() -> None:
    data = schedule(["RCON0010"], [["37", "1"], ["242", "2"]])
    part = read_part(read_text(data, Member("rc", 1, 1, "RC.txt")), TYPES)
    with pytest.raises(RowsUnaccounted, match=r"'RC.txt' has 2 records, 1 were read and 0 did"):
        join_parts("rc", [replace(part, frame=part.frame.head(1))], QUARTER.end)


def test_a_table_that_lost_a_row_cannot_exist() -> None:
    with pytest.raises(RowsUnaccounted, match="rc: 3 rows in, 1 out and 1 quarantined, from a"):
        CleanTable(
            name="rc",
            key=("idrssd",),
            frame=pl.DataFrame({"idrssd": [37]}),
            members=("a",),
            rows_in=3,
            quarantine=misfit_frame(()),
            quarantined=1,
        )

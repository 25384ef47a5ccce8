"""Whole quarters through the processor, compared cell by cell with a plain reading of the files.

The real zips are used where they are; otherwise a small quarter written here takes their place.
"""

import asyncio
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from contracts import LoadTable, Period
from contracts.column_types import declared_types
from services.processor.cdr_folder import CdrFolder
from services.processor.column_types import KnownTypes
from services.processor.process import process
from shared.consumer import Done
from tests.call_report_files import (
    A_BANK,
    COLLECTED,
    PANEL_NAME,
    QUARTER,
    collect,
    panel,
    schedule,
    schedule_name,
)
from tests.fakes import FakeLake, FakeSender
from tests.independent_reading import DATA, REAL_ZIPS

SPECIMENS = DATA / "ffiec-cdr-call" / "embedded-newline-specimens"
SAMPLE = "sample of 2013Q1"
QUARTERS = sorted(path.name for path in REAL_ZIPS.glob("*.zip")) or [SAMPLE]


def sample() -> dict[str, bytes]:
    """A few banks with the quirks of the real files."""
    banks = range(37, 1037, 5)
    both = {f"({part} of 2)": f"RCON{part}773" for part in (1, 2)}
    text = {0: 'one\ntwo "three"', 1: "CONF", 2: "", 3: "N/A"}
    return {
        PANEL_NAME: panel(dict.fromkeys(banks, A_BANK)),
        schedule_name("GI"): schedule([], [[str(bank)] for bank in banks]),
        schedule_name("RCRI"): schedule(
            ["RCFA7206", "RCON6979", "RIAD9106", "RCON2170"],
            [[str(b), f"{b}.0059%", "TRUE", "0", str(b * 52_075_732)] for b in banks],
        ),
        schedule_name("RIE"): schedule(
            ["TEXT4769", "RCON9999"], [[str(b), text[b % 4], "20130331"] for b in banks]
        ),
        **{
            schedule_name("RCB", part): schedule(
                [code], [[str(bank), "" if bank % 3 else f"-{bank}"] for bank in banks]
            )
            for part, code in both.items()
        },
    }


def members_of(quarter: str) -> tuple[Period, dict[str, bytes]]:
    if quarter == SAMPLE:
        return QUARTER, sample()
    with zipfile.ZipFile(REAL_ZIPS / quarter) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return Period.of(datetime.strptime(quarter[-12:-4], "%m%d%Y").date()), files  # noqa: DTZ007  # a day has no zone


@dataclass(frozen=True)
class Processed:
    """One quarter's members, what the processor reported and the tables it wrote."""

    members: Mapping[str, bytes]
    done: Done
    loads: Mapping[str, LoadTable]
    lake: FakeLake

    def table(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(io.BytesIO(self.lake.objects[self.loads[name].object.key]))

    def schedules(self) -> Iterator[tuple[str, str, bytes]]:
        """Yield table, member name and bytes of every schedule."""
        for name, data in self.members.items():
            if " Schedule " in name:
                yield name.split()[4].lower(), name, data


async def process_quarter(quarter: str) -> Processed:
    period, members = members_of(quarter)
    lake, send = FakeLake(), FakeSender()
    event = await collect(lake, members, period=period)
    done = await process(event, lake=lake, send=send, now=lambda: COLLECTED, threads=2)
    return Processed(members, done, {e.payload.table: e.payload for e in send.sent}, lake)


@pytest.fixture(scope="module", params=QUARTERS)
def processed(request: pytest.FixtureRequest) -> Processed:
    return asyncio.run(process_quarter(request.param))


def plain_reading(data: bytes) -> tuple[list[str], list[tuple[str, ...]]]:
    """Codes and columns of a schedule: records end in CR LF, fields in TAB, nothing is quoted."""
    lines = data.decode("ascii").split("\r\n")
    rows = [line.split("\t")[:-1] for line in lines[2:] if line]
    codes = lines[0].split("\t")[1:-1]
    assert {len(row) for row in rows} <= {len(codes) + 1}
    return codes, list(zip(*rows, strict=True))


def codes_of(data: bytes) -> list[str]:
    return data.split(b"\r\n", 1)[0].decode("ascii").split("\t")[1:-1]


def percent_or_fraction(cell: str) -> float:
    return float(Decimal(cell[:-1]) / 100 if cell.endswith("%") else Decimal(cell))


def day(cell: str) -> date | None:
    return None if set(cell) == {"0"} else date(int(cell[:4]), int(cell[4:6]), int(cell[6:]))


MEANING: Mapping[pl.DataType, Callable[[str], Any]] = {
    pl.Int64(): int,
    pl.Float64(): percent_or_fraction,
    pl.Boolean(): lambda cell: {"true": True, "false": False}[cell.lower()],
    pl.Date(): day,
    pl.String(): str,
}


def test_every_cell_of_every_schedule_means_what_the_file_says(processed: Processed) -> None:
    compared = 0
    for name, _, data in processed.schedules():
        table = processed.table(name)
        codes, columns = plain_reading(data)
        assert table["idrssd"].to_list() == [int(cell) for cell in columns[0]]
        for code, cells in zip(codes, columns[1:], strict=True):
            meaning = MEANING[table.schema[code.lower()]]
            expected = [meaning(cell) if cell and cell != "CONF" else None for cell in cells]
            assert table[code.lower()].to_list() == expected, code
            compared += len(cells)
    assert compared > 1_000


def test_confidential_cells_are_listed_bank_by_bank(processed: Processed) -> None:
    expected: dict[str, list[list[str]]] = {}
    for name, _, data in processed.schedules():
        records = data.decode("ascii").split("\r\n")[2:-1]
        listed = expected.setdefault(name, [[] for _ in records])
        codes = [code.lower() for code in codes_of(data)]
        for row, record in enumerate(records):
            if "CONF" in record:
                cells = record.split("\t")[1:-1]
                listed[row] += [
                    code for code, cell in zip(codes, cells, strict=True) if cell == "CONF"
                ]
    assert any(any(rows) for rows in expected.values())
    for name, lists in expected.items():
        assert processed.table(name)["confidential"].to_list() == [row or None for row in lists]


def test_columns_are_the_codes_in_file_order_between_key_and_audit(processed: Processed) -> None:
    codes: dict[str, list[str]] = {}
    for name, _, data in sorted(processed.schedules(), key=lambda schedule: schedule[1]):
        codes.setdefault(name, []).extend(code.lower() for code in codes_of(data))
    for name, expected in codes.items():
        columns = processed.table(name).columns
        assert columns[:2] == ["idrssd", "period_end"]
        assert columns[2:-3] == expected
        assert columns[-3:] == ["confidential", "filename", "row_number"]


def test_every_bank_is_in_every_table_and_none_in_quarantine(processed: Processed) -> None:
    banks = processed.table("por").height
    rows = {name: load.rows for name, load in processed.loads.items() if name != "dictionary"}
    assert set(rows.values()) == {banks}
    assert processed.done.counts["quarantined"] == 0
    assert processed.done.warnings == ()


def test_the_panel_says_what_the_file_says(processed: Processed) -> None:
    (data,) = [data for name, data in processed.members.items() if " POR " in name]
    rows = [line.split("\t") for line in data.decode("ascii").split("\r\n")[1:] if line]
    table = processed.table("por")
    none_if_zero = [
        [None if cell.strip() == "0" else cell.rstrip(" ") for cell in row] for row in rows
    ]
    columns = dict(zip(table.columns[2:-2], list(zip(*none_if_zero, strict=True))[1:], strict=True))
    for name in ("fdic_certificate_number", "occ_charter_number", "ots_docket_number"):
        assert table[name].to_list() == [cell and int(cell) for cell in columns[name]]
    routing = table["primary_aba_routing_number"].to_list()
    assert routing == [cell and f"{int(cell):09}" for cell in columns["primary_aba_routing_number"]]
    for name in ("financial_institution_name", "financial_institution_address"):
        assert table[name].to_list() == [cell or None for cell in columns[name]]
    moments = table["last_date_time_submission_updated_on"].to_list()
    assert [moment.isoformat() for moment in moments] == [row[-1] for row in rows]


def test_the_dictionary_has_every_code_with_its_description(processed: Processed) -> None:
    expected = set()
    for name, member, data in processed.schedules():
        head = [line.split("\t")[1:-1] for line in data.decode("ascii").split("\r\n")[:2]]
        expected |= {
            (name, code, text.strip() or None, member)
            for code, text in zip(head[0], head[1], strict=True)
        }
    table = processed.table("dictionary").filter(pl.col("mdrm").is_not_null())
    assert set(table.select("table_name", "mdrm", "description", "filename").rows()) == expected
    assert table.height == len(expected)


@pytest.mark.parametrize("path", sorted(SPECIMENS.glob("*.txt")) or [Path(SAMPLE)], ids=str)
def test_line_breaks_inside_text_break_no_record(path: Path, tmp_path: Path) -> None:
    name = path.name if path.exists() else schedule_name("RIE")
    data = path.read_bytes() if path.exists() else sample()[name]
    (tmp_path / name).write_bytes(data)
    day_of = datetime.strptime(name.split()[5][:8], "%m%d%Y").date()  # noqa: DTZ007  # a day has no zone
    folder = CdrFolder({name: tmp_path / name}, Period.of(day_of))
    (table_name,) = folder.tables
    declared = declared_types("call_reports")
    table = folder.clean(table_name, KnownTypes(declared, folder.infer(folder.codes))).frame
    codes, columns = plain_reading(data)
    texts = [code for code in codes if declared.get(code) == "text"]
    broken = 0
    for code in texts:
        cells = columns[codes.index(code) + 1]
        assert table[code.lower()].to_list() == [
            cell if cell not in {"", "CONF"} else None for cell in cells
        ]
        broken += sum("\n" in cell for cell in cells)
    assert table.height == len(columns[0])
    assert broken > 0

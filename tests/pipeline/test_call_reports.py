"""Whole quarters through the real processes, compared with a plain reading of the files.

The real zips are used where they are; otherwise a generated quarter of full size takes their place.
"""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

from contracts import Period
from contracts.datasets.call_reports import SOURCE
from infra.names import SERVICES
from ops.commands.sql import ask
from ops.portal.quarters import MadeUpQuarters
from ops.stack.home import Home
from ops.stack.running import database_url
from tests.independent_reading import (
    REAL_ZIPS,
    Cells,
    Expected,
    expect_number,
    expect_presence,
    read_zip,
)
from tests.stack_fixture import QuarryCommand, quarry_home

REAL = {"2013Q1": "03312013", "2020Q3": "09302020"}
HAS_REAL = REAL_ZIPS.is_dir()
QUARTERS = list(REAL) if HAS_REAL else ["2019Q4"]
NUMBERS = {"bigint", "integer", "double precision", "numeric"}
NO_DAY = frozenset({"0", "00000000"})


@dataclass(frozen=True)
class Landed:
    """A stack in which `QUARTERS` were loaded, the run's report and the files it had to load."""

    quarry: QuarryCommand
    report: dict[str, Any]
    files: dict[str, dict[str, Cells]]

    def rows(self, statement: str) -> list[dict[str, Any]]:
        home = Home(self.quarry.home)
        url = database_url(home, home.read())
        assert url is not None, "the stack's database does not run"
        answer = ask(url, statement)
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Landed]:
    zips = REAL_ZIPS
    if not HAS_REAL:
        zips = tmp_path_factory.mktemp("zips")
        for quarter in QUARTERS:
            write_made_up_zip(zips, Period.parse(quarter))
    with quarry_home() as quarry:
        quarry.ok("up", "--zips", str(zips))
        reports = [send(quarry, quarter) for quarter in QUARTERS]
        files = {quarter: read_zip(archive(zips, quarter)) for quarter in QUARTERS}
        yield Landed(quarry, merged(reports), files)


def write_made_up_zip(folder: Path, period: Period) -> None:
    """Put a full generated quarter where the portal serves it under the site's name."""
    name = f"{SOURCE.archive_prefix}{period.end:%m%d%Y}.zip"
    (folder / name).write_bytes(MadeUpQuarters(folder / "cache").zip_of(period).read_bytes())


def archive(folder: Path, quarter: str) -> Path:
    """Return the quarter's zip, named by the site after the quarter's last day."""
    (found,) = folder.glob(f"*{Period.parse(quarter).end:%m%d%Y}.zip")
    return found


def send(quarry: QuarryCommand, quarter: str) -> dict[str, Any]:
    report: dict[str, Any] = quarry.document("send", "--from", quarter, "--wait")
    return report


def merged(reports: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "warnings": [warning for report in reports for warning in report["warnings"]],
        "quarantined": sum(report["quarantined"] for report in reports),
        "loads": {part: load for report in reports for part, load in report["loads"].items()},
    }


def expected_of(cells: list[str], column_type: str) -> Expected:
    if column_type in NUMBERS:
        return expect_number(cells)
    return expect_presence(cells, absent=NO_DAY if column_type == "date" else frozenset())


@pytest.mark.parametrize("quarter", QUARTERS)
def test_every_column_has_the_count_and_the_sum_of_the_raw_files(
    landed: Landed, quarter: str
) -> None:
    columns_compared = 0
    for table, columns in landed.files[quarter].items():
        types = column_types(landed, table)
        assert set(columns) <= set(types), table
        (found,) = landed.rows(totals_statement(table, columns, types, quarter))
        assert found["rows"] == len(columns["idrssd"]), table
        for column, cells in columns.items():
            expected = expected_of(cells, types[column])
            assert found[f"{column} count"] == expected.reported, f"{table}.{column}"
            if expected.total is not None:
                total = float(found[f"{column} sum"] or 0)
                assert math.isclose(total, expected.total, rel_tol=1e-9), f"{table}.{column}"
            columns_compared += 1
    assert columns_compared > 2_000


def column_types(landed: Landed, table: str) -> dict[str, str]:
    found = landed.rows(
        "select column_name, data_type from information_schema.columns "  # noqa: S608  # our own words
        f"where table_schema = 'call_reports' and table_name = '{table}'"
    )
    return {row["column_name"]: row["data_type"] for row in found}


def totals_statement(table: str, columns: Cells, types: dict[str, str], quarter: str) -> str:
    wanted = ["count(*) as rows"]
    for column in columns:
        wanted.append(f'count("{column}") as "{column} count"')
        if types[column] in NUMBERS:
            wanted.append(f'sum("{column}") as "{column} sum"')
    # PostgreSQL returns at most 1,664 columns; the widest schedule of a quarter needs 1,488.
    end = Period.parse(quarter).end
    return f"select {', '.join(wanted)} from call_reports.{table} where period_end = '{end}'"  # noqa: S608  # our own words


@pytest.mark.parametrize("quarter", QUARTERS)
def test_confidential_cells_are_null_and_named(landed: Landed, quarter: str) -> None:
    end = Period.parse(quarter).end
    found = {
        table: landed.rows(
            "select coalesce(sum(cardinality(confidential)), 0)::int as n "  # noqa: S608  # our own words
            f"from call_reports.{table} where period_end = '{end}'"
        )[0]["n"]
        for table in landed.files[quarter]
    }
    assert found == {
        table: sum(cells.count("CONF") for cells in columns.values())
        for table, columns in landed.files[quarter].items()
    }


@pytest.mark.parametrize("quarter", QUARTERS)
def test_the_largest_bank_has_the_assets_it_reported(landed: Landed, quarter: str) -> None:
    rc = landed.files[quarter]["rc"]
    most = max(
        int(foreign or domestic or 0)
        for foreign, domestic in zip(rc["rcfd2170"], rc["rcon2170"], strict=True)
    )
    (found,) = landed.rows(
        "select financial_institution_name as bank, coalesce(rcfd2170, rcon2170) as assets "  # noqa: S608  # our own words
        "from call_reports.rc join call_reports.por using (idrssd, period_end) "
        f"where period_end = '{Period.parse(quarter).end}' order by 2 desc nulls last limit 1"
    )
    assert found["assets"] == most
    if HAS_REAL:  # as published
        assert found["bank"] == "JPMORGAN CHASE BANK, NATIONAL ASSOCIATION"
        assert most == {"2013Q1": 1_948_150_000, "2020Q3": 2_869_536_000}[quarter]


def test_a_missing_part_of_a_schedule_is_told_in_the_runs_status(landed: Landed) -> None:
    incomplete = [quarter for quarter in QUARTERS if quarter == "2020Q3"]  # lacks RCO(1 of 2)
    warnings = [text for text in landed.report["warnings"] if "RCO" in text]
    assert [quarter for quarter in QUARTERS for text in warnings if quarter in text] == incomplete


def test_no_row_is_unaccounted_for(landed: Landed) -> None:
    assert landed.report["quarantined"] == 0
    for quarter, tables in landed.files.items():
        for table, columns in tables.items():
            load = landed.report["loads"][f"{quarter}/call_reports.{table}"]
            assert load["rows"] == len(columns["idrssd"])


def test_one_trace_leads_from_the_request_to_every_commit(landed: Landed) -> None:
    finished = [one for one in landed.quarry.document("runs") if one["state"] == "finished"]
    assert finished
    for one in finished:
        assert {step["stage"] for step in one["steps"]} == set(SERVICES)
        assert {step["trace"] for step in one["steps"]} == {one["trace"]}


def test_every_row_leads_to_its_load(landed: Landed) -> None:
    (found,) = landed.rows(
        "select count(*) as rows, count(l.load_id) as led "
        "from call_reports.rc left join quarry.load l using (load_id)"
    )
    assert found["rows"] == found["led"] > 0


def test_the_same_quarter_again_changes_nothing(landed: Landed) -> None:
    before = landed.quarry.document("tables")
    report = send(landed.quarry, QUARTERS[0])
    assert report["outcome"] == "finished"
    assert landed.quarry.document("tables") == before


def test_a_quarter_the_portal_does_not_list_ends_the_waiting_with_the_reason(
    landed: Landed,
) -> None:
    finished = landed.quarry.run("send", "--from", "2005Q2", "--wait")
    assert finished.returncode == 1
    assert "collector parked 2005Q2: PeriodNotOffered" in finished.stderr


def test_a_bare_message_typed_by_hand_starts_a_run(landed: Landed) -> None:
    period = Period.parse(QUARTERS[0])
    endpoint = f"http://127.0.0.1:{Home(landed.quarry.home).read().ports['emulator']}"
    sqs = boto3.client(
        "sqs",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="typed",
        aws_secret_access_key="by hand",
    )
    loads = "select count(*) as n from quarry.load"
    before = landed.rows(loads)[0]["n"]
    body = {
        "dataset": "call_reports",
        "start_year": period.year,
        "start_quarter": period.quarter,
        "end_year": period.year,
        "end_quarter": period.quarter,
    }
    sqs.send_message(
        QueueUrl=f"{endpoint}/000000000000/quarry-local-generator", MessageBody=json.dumps(body)
    )
    deadline = time.monotonic() + 120
    tables = len(landed.files[QUARTERS[0]])
    while landed.rows(loads)[0]["n"] < before + tables:
        assert time.monotonic() < deadline, "the run did not arrive"
        time.sleep(0.5)


def test_a_run_goes_on_where_it_was_after_every_service_is_killed(landed: Landed) -> None:
    before = landed.quarry.document("tables")
    sent = landed.quarry.document("send", "--from", QUARTERS[0])
    time.sleep(4)  # long enough for the run to be in the middle of its work
    for name, part in landed.quarry.document("status")["parts"].items():
        if name in {"generator", "collector", "processor", "loader", "emulator", "postgres"}:
            psutil.Process(part["pid"]).kill()

    landed.quarry.ok("up")

    deadline = time.monotonic() + 180
    while True:
        queues = landed.quarry.document("status")["queues"].values()
        if not any(queue["waiting"] or queue["in_flight"] for queue in queues):
            break
        assert time.monotonic() < deadline, f"run {sent['run_id']} did not end"
        time.sleep(1)
    assert landed.quarry.document("tables") == before
    assert Decimal(landed.rows("select count(*) as n from call_reports.rc")[0]["n"]) > 0

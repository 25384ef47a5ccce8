"""The curated layer of dropped hires: which version counts, which rows, in which quarter."""

from datetime import UTC, datetime, timedelta

import pytest

from contracts.curated import curated_sql
from contracts.datasets.hires import DATASET
from contracts.drop_table import DropSource
from services.loader.curate import curate
from services.loader.postgres import Connection

DROPPED = datetime(2026, 11, 21, 8, tzinfo=UTC)


@pytest.fixture
async def curated(ledger_connection: Connection) -> Connection:
    """A database whose only table is that of the hired employees."""
    await ledger_connection.execute("CREATE SCHEMA hires")
    assert await curate(ledger_connection, "hires", "hires")
    await create(ledger_connection, "hired_employees")
    return ledger_connection


async def create(connection: Connection, name: str) -> None:
    assert isinstance(DATASET.source, DropSource)
    (table,) = (each for each in DATASET.source.tables if each.name == name)
    columns = ", ".join(f'"{column}" text' for column in table.column_names)
    await connection.execute(
        f"CREATE TABLE hires.{name} ({columns}, problems text[], filename text,"
        " file_version bigint, row_number bigint, dropped_at timestamptz)"
    )


async def add(
    connection: Connection,
    name: str,
    *rows: tuple[str | None, ...],
    file: str = "a.csv",
    version: int = 1,
    problems: list[str] | None = None,
    minutes: int = 0,
) -> None:
    moment = DROPPED + timedelta(minutes=minutes)
    await connection.copy_records_to_table(
        name,
        schema_name="hires",
        records=[
            (*row, problems, file, version, number, moment) for number, row in enumerate(rows, 1)
        ],
    )


def hire(key: str, moment: str = "2021-05-01T00:00:00Z", department: str = "1") -> tuple[str, ...]:
    return (key, f"Person {key}", moment, department, "1")


async def ids(connection: Connection) -> list[int]:
    rows = await connection.fetch("SELECT id FROM hires.curated_employees ORDER BY id")
    return [row["id"] for row in rows]


async def test_what_is_not_loaded_yet_has_no_rows(curated: Connection) -> None:
    for view in ("employees", "departments", "jobs"):
        assert await curated.fetch(f"SELECT * FROM hires.curated_{view}") == []  # noqa: S608  # our own names
    assert await curated.fetch("TABLE hires.hires_per_quarter_2021") == []
    assert await curated.fetch("TABLE hires.departments_above_mean_2021") == []


async def test_the_script_may_run_again(curated: Connection) -> None:
    await add(curated, "hired_employees", hire("1"))
    script = curated_sql("hires")
    assert script is not None
    await curated.execute(script)
    assert await ids(curated) == [1]


async def test_the_newest_version_of_each_file_counts(curated: Connection) -> None:
    await add(curated, "hired_employees", hire("1"), hire("2"))
    await add(curated, "hired_employees", hire("2"), version=2)
    await add(curated, "hired_employees", hire("7"), file="b.csv")
    assert await ids(curated) == [2, 7]


async def test_of_a_key_in_two_files_the_one_dropped_last_counts(curated: Connection) -> None:
    await add(curated, "hired_employees", hire("1", department="5"), minutes=1)
    await add(curated, "hired_employees", hire("1", department="6"), file="b.csv")
    assert await curated.fetchval("SELECT department_id FROM hires.curated_employees") == 5


async def test_flagged_rows_stay_in_the_raw_layer(curated: Connection) -> None:
    await add(curated, "hired_employees", hire("1"))
    await add(curated, "hired_employees", hire("x", "soon"), file="b.csv", problems=["id is bad"])
    assert await ids(curated) == [1]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
async def test_quarters_are_those_of_utc_whatever_the_session_says(
    curated: Connection, zone: str
) -> None:
    await curated.execute(f"SET timezone = '{zone}'")
    moments = (
        "2020-12-31T23:59:59Z",
        "2021-01-01T00:00:00Z",
        "2021-03-31T23:59:59.999",
        " 2021-04-01 00:00:00 ",
        "2021-12-31T20:00:00-05:00",
        "2021-12-31T23:59:59Z",
    )
    await add(curated, "hired_employees", *(hire(str(n), at) for n, at in enumerate(moments)))
    rows = await curated.fetch("SELECT q1, q2, q3, q4 FROM hires.hires_per_quarter_2021")
    assert [tuple(row) for row in rows] == [(2, 1, 0, 1)]


async def test_departments_without_hires_lower_the_mean(curated: Connection) -> None:
    await create(curated, "departments")
    await add(curated, "departments", ("1", "One"), ("2", "Two"), ("3", "None"), ("4", "Also none"))
    hired = [hire(str(n), department="1") for n in range(2)]
    hired += [hire(str(10 + n), department="2") for n in range(3)]
    await add(curated, "hired_employees", *hired, hire("20", "2020-01-01T00:00:00Z", "3"))
    rows = await curated.fetch("TABLE hires.departments_above_mean_2021")
    assert [tuple(row) for row in rows] == [(2, "Two", 3), (1, "One", 2)]


async def test_a_hire_whose_department_no_file_names_is_counted_without_a_name(
    curated: Connection,
) -> None:
    await add(curated, "hired_employees", hire("1"))
    rows = await curated.fetch("TABLE hires.hires_per_quarter_2021")
    assert [tuple(row) for row in rows] == [(None, None, 0, 1, 0, 0)]

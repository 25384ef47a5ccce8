"""`quarry restatements`: counts and values, from the history that loads keep."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner

from ops.cli import build_app
from ops.restatements import Restatements, read_restatements
from services.loader import ledger
from services.loader.postgres import Connection
from tests.loads import FIRST, bank_rows, bring

VERSIONS: list[tuple[str, dict[int, int | None]]] = [
    ("2013Q1", {37: 100, 242: 5, 900: 1}),
    ("2013Q2", {37: 100}),
    ("2013Q1", {37: 101, 242: 5, 901: 1}),
    ("2013Q2", {37: 99}),
    ("2013Q1", {37: 102, 242: None, 901: 1}),
]


@pytest.fixture
async def connection(ledger_connection: Connection, tmp_path: Path) -> Connection:
    """Quarters of which the first was published three times and the second twice."""
    await publish(ledger_connection, tmp_path)
    return ledger_connection


async def publish(connection: Connection, folder: Path) -> None:
    for day, (period, assets) in enumerate(VERSIONS):
        rows = bank_rows(assets, period=period)
        as_of = FIRST + timedelta(days=day)
        await bring(connection, folder / "rows", rows, period=period, as_of=as_of)


async def read(connection: Connection, **wanted: str | bool) -> Restatements:
    return await read_restatements(connection, dataset="call_reports", **wanted)  # type: ignore[arg-type]  # as the test says


async def test_changes_of_a_quarter_are_counted_in_total_and_per_bank(
    connection: Connection,
) -> None:
    found = await read(connection, period="2013Q1")

    counted = [(one.bank, one.values, one.added, one.removed) for one in found.banks]
    assert (found.total.values, found.total.added, found.total.removed) == (3, 1, 1)
    assert counted == [("37", 2, 0, 0), ("242", 1, 0, 0), ("900", 0, 0, 1), ("901", 0, 1, 0)]
    assert (found.total.tables, found.total.periods) == (["call_reports.rc"], ["2013Q1"])
    assert found.values == []


async def test_values_are_listed_old_and_new_in_the_order_they_became_known(
    connection: Connection,
) -> None:
    found = await read(connection, bank="37", with_values=True)

    listed = [(one.period, one.column, one.old, one.new) for one in found.values]
    assert listed == [
        ("2013Q1", "rcfd2170", "100", "101"),
        ("2013Q2", "rcfd2170", "100", "99"),
        ("2013Q1", "rcfd2170", "101", "102"),
    ]
    assert [one.bank for one in found.banks] == ["37"]


async def test_a_value_that_became_null_is_listed_as_such(connection: Connection) -> None:
    found = await read(connection, bank="242", with_values=True)
    assert [(one.old, one.new) for one in found.values] == [("5", "null")]


async def test_nothing_restated_is_zero_and_so_is_a_database_without_a_ledger(
    connection: Connection,
) -> None:
    assert (await read(connection, period="2019Q4")).total.values == 0
    await connection.execute("DROP SCHEMA quarry CASCADE")
    assert (await read(connection)).banks == ()


def test_the_command_prints_one_json_document(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fill() -> None:
        connection = await asyncpg.connect(database_url)
        await ledger.prepare(connection)
        await publish(connection, tmp_path)
        await connection.close()

    asyncio.run(fill())
    for name, value in {
        "DATABASE_URL": database_url,
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    app = build_app("restatements")

    command = ["restatements", "--period", "2013Q1", "--values", "--json"]
    answered = CliRunner().invoke(app, command)

    document = json.loads(answered.stdout)
    assert (document["total"]["values"], len(document["values"])) == (3, 5)
    told = CliRunner().invoke(app, ["restatements", "--period", "2013Q1"]).stdout
    assert "3 values changed, 1 rows added, 1 removed, of 4 banks in 1 tables" in told

"""Commands that read the warehouse find a dataset that has a database of its own."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest
from typer.testing import CliRunner

from contracts import LoadTable
from ops.access import Access, open_access
from ops.cli import build_app
from ops.dlq.foresight import LedgerOfAll
from services.loader.credentials import fixed
from services.loader.databases import Databases
from services.loader.exactly_once import load_parquet
from tests.loads import LIMITS, PROVENANCE, bank_rows, write

OWN = "invoice-transactions-dev-dw"


@dataclass(frozen=True)
class Warehouse:
    """A call-report table in the usual database, invoices in their own; what was loaded there."""

    invoices: LoadTable


def _cases() -> pa.Table:
    return pa.table({"document_id": ["d-1", "d-2"], "net": [1, 2], "filename": ["f", "f"]})


async def _load(url: str, folder: Path) -> LoadTable:
    declaration = write(folder / "cases", _cases(), mode="replace", key=("document_id",))
    declaration = declaration.model_copy(
        update={
            "dataset": "invoices",
            "table_schema": "invoices",
            "table": "cases",
            "period": None,
            "database": OWN,
        }
    )
    usual = write(folder / "rc", bank_rows({37: 1}))
    async with Databases.open(fixed(url), connections=1, may_create=True) as databases:
        for load, path in ((declaration, folder / "cases"), (usual, folder / "rc")):
            database = await databases.named(load.database)
            async with database.connection() as connection:
                await load_parquet(connection, path, load, PROVENANCE, LIMITS)
    return declaration


@pytest.fixture
def warehouse(
    database_url: str, emulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Warehouse]:
    assert emulator
    monkeypatch.setenv("DATABASE_URL", database_url)
    yield Warehouse(asyncio.run(_load(database_url, tmp_path)))
    asyncio.run(_drop(database_url))


async def _drop(url: str) -> None:
    admin = await asyncpg.connect(url)
    await admin.execute(f'DROP DATABASE "{OWN}" WITH (FORCE)')
    await admin.close()


def answer(*arguments: str) -> Any:
    answered = CliRunner().invoke(build_app(arguments[0]), [*arguments, "--json", "--env", "dev"])
    assert answered.exit_code == 0, answered.output
    return json.loads(answered.stdout)


@asynccontextmanager
async def opened() -> AsyncIterator[Access]:
    async with open_access("dev") as access:
        yield access


def test_sql_asks_the_database_of_the_dataset(warehouse: Warehouse) -> None:
    assert warehouse
    question = "select sum(net)::int as sum from invoices.cases"
    assert answer("sql", question, "--dataset", "invoices") == [{"sum": 3}]
    assert answer("sql", "select count(*) from call_reports.rc") == [{"count": 1}]


def test_tables_of_all_databases_are_listed_without_their_partitions(warehouse: Warehouse) -> None:
    assert warehouse
    listed = [(row["table"], row["rows"]) for row in answer("tables")]
    assert listed == [("call_reports.rc", 1), ("invoices.cases", 2)]


def test_a_row_is_explained_from_its_own_databases_ledger(warehouse: Warehouse) -> None:
    found = answer("explain", "invoices.cases", "d-2")
    assert found["row"]["net"] == 2
    assert found["load"]["load_id"] == str(warehouse.invoices.load_id)


def test_a_plan_finds_a_load_in_whichever_ledger_it_is(warehouse: Warehouse) -> None:
    async def found() -> tuple[bool, list[Any]]:
        async with opened() as access:
            ledger = LedgerOfAll(access.every_database)
            applied = await ledger.applied("invoices", "cases")
            return await ledger.is_in(warehouse.invoices.load_id), list(applied)

    is_in, applied = asyncio.run(found())
    assert is_in
    assert [load.load_id for load in applied] == [warehouse.invoices.load_id]


def test_reconcile_looks_into_every_database(warehouse: Warehouse) -> None:
    assert warehouse
    command = ["reconcile", "--json", "--env", "dev"]
    answered = CliRunner().invoke(build_app("reconcile"), command)
    document = json.loads(answered.stdout)
    assert document["loads"] == 2
    assert {"invoices.cases"} <= {one["where"] for one in document["differences"]}


def test_before_the_first_load_there_is_only_the_usual_database(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert answer("tables") == []
    asked = ["sql", "select 1", "--dataset", "invoices", "--env", "dev"]
    refused = CliRunner().invoke(build_app("sql"), asked)
    assert OWN in str(refused.exception)

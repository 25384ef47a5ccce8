"""`quarry tables`: what was loaded, and nothing that is only made from it."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner

from ops.cli import build_app
from services.loader import ledger
from services.loader.curate import curate
from tests.loads import bank_rows, bring


def test_tables_are_listed_with_rows_and_quarters_and_views_are_not(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fill() -> None:
        connection = await asyncpg.connect(database_url, statement_cache_size=0)
        await ledger.prepare(connection)
        for period in ("2013Q1", "2013Q2"):
            rows = bank_rows({1: 10, 2: 20}, period=period)
            await bring(connection, tmp_path / period, rows, period=period)
        await curate(connection, "call_reports", "call_reports")
        await connection.close()

    asyncio.run(fill())
    monkeypatch.setenv("DATABASE_URL", database_url)

    answered = CliRunner().invoke(build_app("tables"), ["tables", "--json", "--env", "dev"])

    listed = [(row["table"], row["rows"], row["quarters"]) for row in json.loads(answered.stdout)]
    assert listed == [("call_reports.rc", 4, 2)]

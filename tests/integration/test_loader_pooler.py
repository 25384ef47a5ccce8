"""Loads through a connection pooler in transaction mode, where every transaction may get another
session of the server."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from contracts import Envelope, LoadTable
from services.loader import credentials, ledger
from services.loader.load import load
from services.loader.postgres import Database
from shared.errors import ManifestMismatch
from tests.fakes import FakeSender
from tests.loads import LIMITS, bank_rows, enveloped, write
from tests.pooler import running_pooler
from tests.soak.harness import contents
from tests.soak.worker import FolderLake
from tests.soak.workload import make_workload

_SESSIONS = 3


async def bring(database: Database, folder: Path, message: Envelope[LoadTable]) -> None:
    await load(
        message,
        lake=FolderLake(folder),
        database=database,
        limits=LIMITS,
        now=lambda: datetime.now(UTC),
        publish=FakeSender(),
    )


async def drain(url: str, folder: Path, queue: list[Envelope[LoadTable]]) -> None:
    """One loader with connections of its own takes the messages of one table, in order."""
    async with Database.open(credentials.fixed(url), connections=2) as database:
        for message in queue:
            await bring(database, folder, message)


@pytest.mark.usefixtures("ledger_connection")
async def test_loads_through_a_pooler_leave_what_loads_without_one_leave(
    database_url: str, tmp_path: Path
) -> None:
    admin = await asyncpg.connect(database_url)
    direct = f"direct_{uuid4().hex}"
    await admin.execute(f'CREATE DATABASE "{direct}"')
    direct_url = urlsplit(database_url)._replace(path=f"/{direct}").geturl()
    prepared = await asyncpg.connect(direct_url)
    await ledger.prepare(prepared)
    await prepared.close()
    queues = make_workload(tmp_path, seed=4)
    try:
        with running_pooler(database_url, sessions=_SESSIONS) as pooler:
            pooled_url = pooler + urlsplit(database_url).path
            await asyncio.gather(*(drain(pooled_url, tmp_path, one) for one in queues.values()))
        await asyncio.gather(*(drain(direct_url, tmp_path, one) for one in queues.values()))

        assert await contents(database_url) == await contents(direct_url)
    finally:
        await admin.execute(f'DROP DATABASE IF EXISTS "{direct}" WITH (FORCE)')
        await admin.close()


async def test_a_failed_load_is_noted_through_a_pooler(
    ledger_connection: asyncpg.Connection, database_url: str, tmp_path: Path
) -> None:
    declaration = write(tmp_path / "rows", bank_rows({1: 1}))
    (tmp_path / "rows").write_bytes(b"other bytes")
    with running_pooler(database_url, sessions=_SESSIONS) as pooler:
        access = credentials.fixed(pooler + urlsplit(database_url).path)
        async with Database.open(access, connections=2) as database:
            with pytest.raises(ManifestMismatch):
                await bring(database, tmp_path, enveloped(declaration))

    reasons = await ledger_connection.fetch("SELECT error_type FROM quarry.attempt")
    assert [row["error_type"] for row in reasons] == ["ManifestMismatch"]

"""Rows of a dataset with a database of its own: created, with its own ledger, and kept apart."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from services.loader.credentials import fixed, in_database
from services.loader.databases import Databases
from services.loader.exactly_once import load_parquet
from services.loader.postgres import Access, NoSuchDatabase
from tests.loads import LIMITS, PROVENANCE, bank_rows, write


@pytest.fixture
async def unborn(database_url: str) -> AsyncIterator[str]:
    """The name of a database that nobody has created yet."""
    name = f"own-{uuid4().hex}-dw"
    yield name
    admin = await asyncpg.connect(database_url)
    await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    await admin.close()


def _at(database_url: str, name: str) -> str:
    return urlunsplit(urlsplit(database_url)._replace(path=f"/{name}"))


async def test_a_database_is_created_with_a_ledger_when_its_first_load_comes(
    database_url: str, unborn: str, tmp_path: Path
) -> None:
    declaration = write(tmp_path / "rows", bank_rows({37: 1}))
    async with Databases.open(fixed(database_url), connections=2, may_create=True) as databases:
        database = await databases.named(unborn)
        async with database.connection() as connection:
            await load_parquet(connection, tmp_path / "rows", declaration, PROVENANCE, LIMITS)
        usual = await databases.named(None)
        async with usual.connection() as connection:
            there = await connection.fetchval("SELECT to_regclass('call_reports.rc')::text")
    assert there is None
    connection = await asyncpg.connect(_at(database_url, unborn))
    assert await connection.fetchval("SELECT count(*) FROM call_reports.rc") == 1
    assert await connection.fetchval("SELECT load_id FROM quarry.load") == declaration.load_id
    await connection.close()


async def test_two_loaders_that_miss_the_same_database_both_get_it(
    database_url: str, unborn: str
) -> None:
    async def opened() -> str:
        async with Databases.open(fixed(database_url), connections=1, may_create=True) as databases:
            database = await databases.named(unborn)
            async with database.connection() as connection:
                return str(await connection.fetchval("SELECT current_database()"))

    assert await asyncio.gather(*(opened() for _ in range(3))) == [unborn] * 3


async def test_a_role_that_may_not_migrate_is_told_which_database_is_missing(
    database_url: str, unborn: str
) -> None:
    async with Databases.open(fixed(database_url), connections=1) as databases:
        database = await databases.named(unborn)
        with pytest.raises(NoSuchDatabase, match=f'"{unborn}" does not exist; its first load'):
            async with database.connection():
                pass


async def test_another_database_is_reached_with_the_same_login_and_options() -> None:
    async def read() -> Access:
        return Access("postgresql://u:p%40@host:5433/quarry?application_name=x")

    access = await in_database(read, "a-b dw")()
    assert access.url == "postgresql://u:p%40@host:5433/a-b%20dw?application_name=x"

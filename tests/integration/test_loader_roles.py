"""`services/loader/roles.sql`: what the two roles can do, and what they cannot."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest

from contracts import LoadMode
from services.loader import ledger
from services.loader.curate import curate
from services.loader.exactly_once import load_parquet
from services.loader.postgres import Connection
from shared.errors import SchemaMismatch
from tests.loads import FIRST, LIMITS, PROVENANCE, assets_in, bank_rows, bring, write

ROLES = ("quarry_migration", "quarry_loader")
OWNER = "owner_of_a_database"
LOADER_LIMITS = replace(LIMITS, may_migrate=False)
MODES: list[LoadMode] = ["append", "merge", "replace", "replace_period"]


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    """A database set up as roles.sql says, by an owner who is no superuser, as on RDS."""
    opened = await asyncpg.connect(database_url, statement_cache_size=0)
    await _forget_roles(opened)
    name = urlsplit(database_url).path.lstrip("/")
    await opened.execute(
        f'CREATE ROLE {OWNER} CREATEROLE; ALTER DATABASE "{name}" OWNER TO {OWNER}'
    )
    script = (files("services.loader") / "roles.sql").read_text(encoding="utf-8")
    await become(opened, OWNER)
    await opened.execute(script)
    await become(opened, "quarry_migration")
    await ledger.prepare(opened)
    await become(opened, OWNER)
    await opened.execute(script)
    yield opened
    await opened.execute("RESET SESSION AUTHORIZATION")
    await opened.execute(f'ALTER DATABASE "{name}" OWNER TO CURRENT_USER')
    await _forget_roles(opened)
    await opened.close()


async def _forget_roles(connection: Connection) -> None:
    """Roles belong to the whole server; an earlier test that was killed leaves them there."""
    for role in (*reversed(ROLES), OWNER):
        # Refused when there is none.
        with suppress(asyncpg.UndefinedObjectError):
            await connection.execute(f"DROP OWNED BY {role} CASCADE")
            await connection.execute(f"DROP ROLE {role}")


async def become(connection: Connection, role: str) -> None:
    """Let the connection be that of another role from now on."""
    await connection.execute(f"SET SESSION AUTHORIZATION {role}")


@pytest.mark.parametrize("mode", MODES)
async def test_the_loader_fills_a_table_that_the_migration_role_made_in_every_mode(
    connection: Connection, tmp_path: Path, mode: LoadMode
) -> None:
    await become(connection, "quarry_migration")
    await bring(connection, tmp_path / "a", bank_rows({1: 10, 2: 20}), mode=mode)
    await curate(connection, "call_reports", "call_reports")

    await become(connection, "quarry_loader")
    path = tmp_path / "b"
    later = FIRST + timedelta(days=1)
    declared = write(path, bank_rows({1: 11, 3: 30}), mode=mode, as_of=later)
    loaded = await load_parquet(connection, path, declared, PROVENANCE, LOADER_LIMITS)

    assert loaded.outcome == "loaded"
    expected = {
        "append": {1: 11, 2: 20, 3: 30},
        "merge": {1: 11, 2: 20, 3: 30},
        "replace": {1: 11, 3: 30},
        "replace_period": {1: 11, 3: 30},
    }
    assert await assets_in(connection) == expected[mode]
    assert await connection.fetchval("SELECT count(*) FROM quarry.load") == 2


async def test_the_loader_can_keep_a_failed_attempt(connection: Connection, tmp_path: Path) -> None:
    await become(connection, "quarry_loader")
    declared = write(tmp_path / "a", bank_rows({1: 10}))
    await ledger.record_failure(connection, declared, PROVENANCE, SchemaMismatch("no"), 0.1)
    assert await connection.fetchval("SELECT count(*) FROM quarry.attempt") == 1


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE call_reports.rc",
        "TRUNCATE call_reports.rc",
        "ALTER TABLE call_reports.rc ADD COLUMN mine int",
        "CREATE TABLE call_reports.mine (x int)",
        "CREATE SCHEMA mine",
        "CREATE TABLE public.mine (x int)",
        "UPDATE quarry.load SET rows = 0",
        "DELETE FROM quarry.load",
        "DELETE FROM quarry.restatement",
        "INSERT INTO quarry.curated VALUES ('a', 'b', 0, now())",
        "CREATE ROLE mine",
        "SET ROLE quarry_migration",
        "COPY call_reports.rc TO PROGRAM 'true'",
    ],
)
async def test_the_loader_can_do_nothing_else(
    connection: Connection, tmp_path: Path, statement: str
) -> None:
    await become(connection, "quarry_migration")
    await bring(connection, tmp_path / "a", bank_rows({1: 10}))

    await become(connection, "quarry_loader")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)


async def test_a_new_column_is_left_to_the_migration_role(
    connection: Connection, tmp_path: Path
) -> None:
    await become(connection, "quarry_migration")
    await bring(connection, tmp_path / "a", bank_rows({1: 10}))
    path = tmp_path / "b"
    wider = bank_rows({1: 10}, period="2013Q2").append_column("rcfd9999", pa.array([7]))
    declared = write(path, wider, period="2013Q2")

    await become(connection, "quarry_loader")
    with pytest.raises(SchemaMismatch, match="let the migration role run: ALTER TABLE"):
        await load_parquet(connection, path, declared, PROVENANCE, LOADER_LIMITS)
    await become(connection, "quarry_migration")
    await load_parquet(connection, path, declared, PROVENANCE, LIMITS)

    assert await connection.fetchval("SELECT max(rcfd9999) FROM call_reports.rc") == 7


async def test_other_roles_may_not_even_connect(connection: Connection) -> None:
    query = "SELECT has_database_privilege('pg_monitor', current_database(), 'CONNECT')"
    assert await connection.fetchval(query) is False

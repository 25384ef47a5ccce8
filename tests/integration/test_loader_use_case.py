"""The loader's use case: lake and database real or kept in memory, the bus a list."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from contracts import LoadTable, Period
from services.loader import credentials, ledger
from services.loader.load import load
from services.loader.postgres import Access, Database
from shared.consumer import Done
from shared.errors import ManifestMismatch, TransientError
from tests.fakes import FakeLake, FakeSender
from tests.loads import LIMITS, assets_in, bank_rows, enveloped, write


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(credentials.fixed(database_url), connections=2) as opened:
        async with opened.connection() as connection:
            await ledger.prepare(connection)
        yield opened


async def run(
    declaration: LoadTable, path: Path, database: Database, bus: FakeSender, **lake: Any
) -> Done:
    data = await asyncio.to_thread(path.read_bytes)
    return await load(
        enveloped(declaration),
        lake=FakeLake({declaration.object.key: data, **lake}),
        database=database,
        limits=replace(LIMITS, lock_seconds=0.2),
        now=lambda: datetime(2013, 5, 2, tzinfo=UTC),
        publish=bus,
    )


async def test_a_load_is_announced_with_its_rows(database: Database, tmp_path: Path) -> None:
    bus = FakeSender()
    path = tmp_path / "a"

    done = await run(write(path, bank_rows({1: 10, 2: 20})), path, database, bus)

    assert done.outcome == "loaded"
    assert done.counts == {"rows": 2, "inserted": 2, "updated": 0, "removed": 0}
    assert [(event.payload.outcome, event.payload.rows) for event in bus.sent] == [("loaded", 2)]


async def test_a_redelivered_load_is_announced_again_under_the_same_id(
    database: Database, tmp_path: Path
) -> None:
    bus = FakeSender()
    path = tmp_path / "a"
    declaration = write(path, bank_rows({1: 10}))

    await run(declaration, path, database, bus)
    await run(declaration, path, database, bus)

    assert [event.payload.outcome for event in bus.sent] == ["loaded", "already_loaded"]
    assert len({event.message_id for event in bus.sent}) == 1


async def test_an_object_with_other_bytes_than_declared_is_refused_and_the_attempt_kept(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    declaration = write(path, bank_rows({1: 10}))
    write(path, bank_rows({1: 11}))

    with pytest.raises(ManifestMismatch, match="its message declares"):
        await run(declaration, path, database, FakeSender())

    async with database.connection() as connection:
        attempts = await connection.fetch("SELECT load_id, error_type FROM quarry.attempt")
    assert [tuple(row) for row in attempts] == [(declaration.load_id, "ManifestMismatch")]


async def test_a_table_held_by_another_load_for_too_long_is_worth_a_retry(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    declaration = write(path, bank_rows({1: 10}))
    await run(declaration, path, database, FakeSender())
    later = write(path, bank_rows({1: 12}))
    other = await asyncpg.connect(database_url)
    try:
        await other.execute("BEGIN; LOCK TABLE call_reports.rc IN ACCESS EXCLUSIVE MODE")

        with pytest.raises(TransientError, match="lock timeout"):
            await run(later, path, database, FakeSender())
    finally:
        await other.close()


async def test_a_rotated_password_is_read_again_and_the_load_goes_on(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    role = f"rotating_{uuid4().hex}"  # roles belong to the whole server
    async with database.connection() as connection:
        await connection.execute(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'new'")
    parts = urlsplit(database_url)
    passwords = iter(["old", "new"])

    async def read() -> Access:
        netloc = f"{role}:{next(passwords)}@{parts.hostname}:{parts.port}"
        return Access(urlunsplit(parts._replace(netloc=netloc)))

    path = tmp_path / "a"
    declaration = write(path, bank_rows({1: 10}))
    async with Database.open(read, connections=1) as rotated:
        done = await run(declaration, path, rotated, FakeSender())

    async with database.connection() as connection:
        assert await assets_in(connection) == {1: 10}
        await connection.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")
    assert done.outcome == "loaded"


async def test_after_a_load_analysts_find_their_functions(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    done = await run(write(path, bank_rows({1: 10})), path, database, FakeSender())

    assert done.warnings == ()
    async with database.connection() as connection:
        found = await connection.fetchrow("SELECT * FROM call_reports.series('RCFD2170')")
    assert tuple(found or ()) == (1, Period(2013, 1).end, 10)


async def test_a_load_stands_where_the_functions_for_analysts_cannot_be_made(
    database: Database, tmp_path: Path
) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "CREATE SCHEMA call_reports; CREATE TABLE call_reports.totals (mine int)"
        )
    bus = FakeSender()
    path = tmp_path / "a"

    done = await run(write(path, bank_rows({1: 10})), path, database, bus)

    assert (done.outcome, len(bus.sent)) == ("loaded", 1)
    assert ['"totals" is not a view' in warning for warning in done.warnings] == [True]
    async with database.connection() as connection:
        assert await assets_in(connection) == {1: 10}

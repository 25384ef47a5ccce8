"""One loader process for one message: what the kill harness starts and kills."""

import asyncio
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from contracts import Envelope, LoadTable
from services.loader import credentials, ledger
from services.loader.arrival import Arrival
from services.loader.ledger import Loaded, Provenance
from services.loader.load import load
from services.loader.migrate import read_table
from services.loader.modes import bring_in, primary_key
from services.loader.parquet import ParquetRows
from services.loader.postgres import Connection, Database
from services.loader.table_lock import Limits, take_turn
from shared.errors import TransientError
from tests.fakes import FakeSender

# Short, so that a sleeping worker is fenced within the patience of a test.
LIMITS = Limits(lock_seconds=5, statement_seconds=3, idle_seconds=3)
RETRY = 75


class FolderLake:
    """The lake as a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def download(self, key: str, path: Path) -> None:
        """Copy one object."""
        shutil.copyfile(self._folder / Path(key).name, path)


def work(body: str, url: str, folder: str, build: str) -> None:
    """Treat one message and exit with 0, or 75 when it has to come again."""
    envelope = Envelope[LoadTable].model_validate_json(body)
    handle = _sound if build == "sound" else _broken
    try:
        asyncio.run(handle(envelope, url, Path(folder)))
    except TransientError:
        sys.exit(RETRY)


async def _sound(envelope: Envelope[LoadTable], url: str, folder: Path) -> None:
    async with Database.open(credentials.fixed(url), connections=2) as database:
        await load(
            envelope,
            lake=FolderLake(folder),
            database=database,
            limits=LIMITS,
            now=lambda: datetime.now(UTC),
            publish=FakeSender(),
        )


async def _broken(envelope: Envelope[LoadTable], url: str, folder: Path) -> None:
    """Load with the ledger in a transaction of its own: the mistake the harness must catch."""
    declaration = envelope.payload
    path = folder / Path(declaration.object.key).name
    async with (
        Database.open(credentials.fixed(url), connections=1) as database,
        database.connection() as connection,
    ):
        done, _ = await ledger.standing(connection, declaration)
        if done is not None:
            return
        await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{declaration.table_schema}"')
        rows = ParquetRows(path, declaration.object.key)
        async with connection.transaction():
            loaded, moment = await _rows_only(connection, declaration, rows)
        provenance = Provenance(envelope.message_id, envelope.run_id, "broken")
        async with connection.transaction():
            await ledger.record(
                connection, declaration, provenance, loaded, moment=moment, seconds=0
            )


async def _rows_only(
    connection: Connection, declaration: LoadTable, rows: ParquetRows
) -> tuple[Loaded, datetime]:
    await take_turn(connection, declaration.table_schema, declaration.table, LIMITS)
    moment: datetime = await connection.fetchval("SELECT clock_timestamp()")
    table = await read_table(connection, declaration.table_schema, declaration.table)
    arrival = Arrival(declaration, rows, moment)
    key = primary_key(declaration)
    return await bring_in(connection, table, key, arrival, allowed=True), moment

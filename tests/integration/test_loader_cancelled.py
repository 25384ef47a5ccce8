"""Loads that are cancelled: what they held is let go of, and they can be done again."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import psutil
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest

from contracts import LoadTable
from services.loader.exactly_once import load_parquet
from services.loader.postgres import Connection
from services.loader.table_lock import take_turn
from tests.loads import LIMITS, PROVENANCE, bank_rows, write


@asynccontextmanager
async def begun(
    database_url: str, path: Path, declaration: LoadTable
) -> AsyncIterator[asyncio.Task[object]]:
    """Do a load beside the test, on a connection of its own."""
    connection = await asyncpg.connect(database_url, statement_cache_size=0)
    load = asyncio.create_task(
        load_parquet(connection, path, declaration, PROVENANCE, LIMITS), name="load"
    )
    try:
        yield load
    finally:
        load.cancel()
        with suppress(asyncio.CancelledError):
            await load
        await connection.close()


async def cancelled_when(connection: Connection, question: str, load: asyncio.Task[object]) -> None:
    """Cancel the load as soon as the server says yes."""
    for _ in range(2_000):
        if await connection.fetchval(question):
            break
        await asyncio.sleep(0.005)
    else:
        pytest.fail(f"the server did not say yes to: {question}")
    load.cancel()
    with pytest.raises(asyncio.CancelledError):
        await load


async def closed(path: Path) -> bool:
    """Say whether this process lets go of the file; its thread may be at it for a moment."""
    for _ in range(200):
        if str(path) not in {file.path for file in psutil.Process().open_files()}:
            return True
        await asyncio.sleep(0.01)
    return False


async def test_a_load_cancelled_while_it_waits_for_its_turn_lets_go_of_its_file(
    ledger_connection: Connection, database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "rows.parquet"
    declaration = write(path, bank_rows({1: 10}))
    async with ledger_connection.transaction():
        await take_turn(ledger_connection, declaration.table_schema, declaration.table, LIMITS)
        async with begun(database_url, path, declaration) as load:
            await cancelled_when(
                ledger_connection,
                "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)",
                load,
            )

    assert await closed(path)


async def test_a_load_cancelled_in_the_middle_of_copy_lets_go_of_its_file_and_can_be_done_again(
    ledger_connection: Connection, database_url: str, tmp_path: Path
) -> None:
    # Slow to unpack, so that the cancellation finds the file's thread at work.
    rows = 16_000
    texts = pa.array(hashlib.shake_128(b"%d" % row).hexdigest(1_000) for row in range(rows))
    path = tmp_path / "rows.parquet"
    declaration = write(
        path,
        pa.table({"text": texts}),
        mode="append",
        key=(),
        period=None,
        row_group_size=4_000,
        compression="gzip",
    )
    async with begun(database_url, path, declaration) as load:
        await cancelled_when(
            ledger_connection,
            "SELECT EXISTS (SELECT FROM pg_stat_progress_copy WHERE tuples_processed > 0)",
            load,
        )

    assert await closed(path)
    await load_parquet(ledger_connection, path, declaration, PROVENANCE, LIMITS)
    assert await ledger_connection.fetchval("SELECT count(*) FROM call_reports.rc") == rows

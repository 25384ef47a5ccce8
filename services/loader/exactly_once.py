"""One load as one transaction: lock, ledger, table, rows. The loader's library part."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from pathlib import Path

from contracts import LoadTable
from services.loader import ledger
from services.loader.arrival import Arrival, Fetch
from services.loader.ledger import Loaded, Provenance, decide
from services.loader.migrate import read_table
from services.loader.modes import bring_in, primary_key
from services.loader.parquet import ParquetRows
from services.loader.pieces import Outline, outlined
from services.loader.postgres import Connection, DuplicateKey, postgres_errors
from services.loader.sql import lock_key, quoted
from services.loader.table_lock import Limits, take_turn
from shared.errors import InvalidRequest

_PERIOD = "period_end"


async def load_parquet(
    connection: Connection,
    path: Path,
    declaration: LoadTable,
    provenance: Provenance,
    limits: Limits,
    *,
    fetch: Fetch | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Loaded:
    """Bring a local Parquet file into its table, exactly once, however often this is called.

    Rows and ledger entry are one transaction; the ledger (`ledger.prepare`) must be there.
    `fetch` reads another object of the lake, which a merge that arrives late needs.

    Raises:
        SchemaMismatch: the file is not what the message declares, or cannot fit the table.
        RowsUnaccounted: rows were lost on the way.
        RowRefused: a value does not fit its column, or a key is there twice.
        InvalidRequest: mode, key and period do not go together.
        TransientError: the server is away, or another load holds the table for too long.
    """
    started = clock()
    _check(declaration)
    rows = ParquetRows(path, declaration.object.key)
    # While the server is asked, and perhaps another load waited for.
    outline = _begin_reading(rows, declaration)
    try:
        load = partial(
            _load_once,
            *(connection, rows, declaration, provenance, limits),
            arrived=partial(Arrival, declaration, rows, fetch=fetch, outline=outline),
            elapsed=lambda: clock() - started,
        )
        with postgres_errors():
            try:
                return await load()
            except _SchemaMissing:
                await _create_schema(
                    connection, declaration.table_schema, allowed=limits.may_migrate
                )
                return await load()
    except DuplicateKey as error:
        key = primary_key(declaration)
        repeated = await asyncio.to_thread(rows.repeated, key)
        where = f"{declaration.object.key} for {declaration.table_schema}.{declaration.table}"
        raise DuplicateKey(
            f"{where} has rows with one key: {repeated}" if repeated else f"{where}: {error}"
        ) from error
    finally:
        rows.close()


class _SchemaMissing(Exception):
    """The schema has to be made before the load, in a transaction of its own."""


async def _load_once(
    connection: Connection,
    rows: ParquetRows,
    declaration: LoadTable,
    provenance: Provenance,
    limits: Limits,
    *,
    arrived: Callable[[datetime], Arrival],
    elapsed: Callable[[], float],
) -> Loaded:
    async with connection.transaction():
        moment = await take_turn(connection, declaration.table_schema, declaration.table, limits)
        rows.require(rows=declaration.rows, fingerprint=declaration.schema_fingerprint)
        done, newest = await ledger.standing(connection, declaration)
        if done is not None:
            return done
        decision = decide(declaration, newest)
        if decision == "apply":
            table = await read_table(connection, declaration.table_schema, declaration.table)
            if not table.exists and not await _has_schema(connection, declaration.table_schema):
                raise _SchemaMissing
            loaded = await bring_in(
                connection,
                table,
                primary_key(declaration),
                arrived(moment),
                allowed=limits.may_migrate,
            )
        else:
            loaded = Loaded(decision, rows.rows)
        await ledger.record(
            connection, declaration, provenance, loaded, moment=moment, seconds=elapsed()
        )
        return loaded


def _begin_reading(rows: ParquetRows, declaration: LoadTable) -> Future[Outline] | None:
    """Begin to read what is needed first; of a merge's rows perhaps nothing is."""
    if declaration.mode == "merge":
        return outlined(rows, primary_key(declaration))
    rows.read_ahead()
    return None


def _check(declaration: LoadTable) -> None:
    where = f"{declaration.table_schema}.{declaration.table}"
    if declaration.mode in {"merge", "replace_period"} and not declaration.key:
        raise InvalidRequest(f"{where}: mode {declaration.mode} needs a key")
    if declaration.mode == "replace_period" and (
        declaration.period_end is None or _PERIOD not in declaration.key
    ):
        raise InvalidRequest(f"{where}: replace_period needs `period_end` in message and key")
    names: Sequence[str] = (declaration.table_schema, declaration.table, *declaration.key)
    for name in names:
        try:
            quoted(name)
        except ValueError as error:
            raise InvalidRequest(f"{where}: {error}") from error


async def _create_schema(connection: Connection, schema: str, *, allowed: bool) -> None:
    """Create the schema in a transaction of its own: two first loads must not wait on each other.

    An empty schema left by a load that fails later does no harm.
    """
    if not allowed:
        raise InvalidRequest(f"schema {schema} is missing and QUARRY_MAY_MIGRATE is off")
    async with connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({lock_key(schema, '')})")
        # IF NOT EXISTS alone would trust what this session remembers from before the lock.
        if not await _has_schema(connection, schema):
            await connection.execute(f"CREATE SCHEMA {quoted(schema)}")


async def _has_schema(connection: Connection, schema: str) -> bool:
    statement = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)"
    return bool(await connection.fetchval(statement, schema))

"""The loader's use case: one `LoadTable` becomes rows, exactly once."""

import asyncio
import hashlib
import os
import platform
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Protocol

from contracts import Envelope, LoadComplete, LoadTable
from services.loader import ledger
from services.loader.curate import curate
from services.loader.exactly_once import load_parquet
from services.loader.ledger import Loaded, Provenance
from services.loader.postgres import Database
from services.loader.table_lock import Limits
from shared.consumer import Done
from shared.errors import ManifestMismatch, QuarryError
from shared.leftovers import folder_prefix
from shared.log import log

Publish = Callable[[Envelope[LoadComplete]], Awaitable[None]]


class Downloads(Protocol):
    """The part of the lake that the loader uses."""

    async def download(self, key: str, path: Path) -> None:
        """Read one object into a file."""


async def load(
    envelope: Envelope[LoadTable],
    *,
    lake: Downloads,
    database: Database,
    limits: Limits,
    now: Callable[[], datetime],
    publish: Publish,
) -> Done:
    """Load the message's Parquet object and say so on the bus.

    Safe to repeat: a load that is in the ledger is announced again and changes nothing. A failed
    attempt is kept in `quarry.attempt`.
    """
    declaration = envelope.payload
    provenance = Provenance(
        envelope.message_id, envelope.run_id, f"{platform.node()}:{os.getpid()}"
    )
    started = time.monotonic()
    try:
        loaded = await _load(declaration, provenance, lake, database, limits)
    except QuarryError as error:
        await _keep_failure(database, declaration, provenance, error, started)
        raise
    seconds = time.monotonic() - started
    await publish(_announcement(envelope, loaded, seconds, now()))
    warnings = await _curate(database, declaration) if limits.may_migrate else ()
    return Done(
        counts={
            "rows": loaded.rows,
            "inserted": loaded.inserted,
            "updated": loaded.updated,
            "removed": loaded.removed,
        },
        outcome=loaded.outcome,
        warnings=warnings,
    )


async def _load(
    declaration: LoadTable,
    provenance: Provenance,
    lake: Downloads,
    database: Database,
    limits: Limits,
) -> Loaded:
    with tempfile.TemporaryDirectory(prefix=folder_prefix("load")) as folder:
        path = Path(folder) / "rows.parquet"
        await lake.download(declaration.object.key, path)
        await asyncio.to_thread(_check_digest, path, declaration)
        async with database.connection() as connection:
            return await load_parquet(
                connection, path, declaration, provenance, limits, fetch=lake.download
            )


def _check_digest(path: Path, declaration: LoadTable) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != declaration.object.sha256:
        raise ManifestMismatch(
            f"{declaration.object.key} has SHA-256 {found}, its message declares "
            f"{declaration.object.sha256}; send the message again from the run that wrote it"
        )


async def _keep_failure(
    database: Database,
    declaration: LoadTable,
    provenance: Provenance,
    error: QuarryError,
    started: float,
) -> None:
    try:
        async with database.connection() as connection:
            seconds = time.monotonic() - started
            await ledger.record_failure(connection, declaration, provenance, error, seconds)
    except QuarryError as second:
        # The first error is the one to tell; with the database away there is nowhere to keep it.
        log.warning("attempt_not_recorded", reason=str(second))


async def _curate(database: Database, declaration: LoadTable) -> tuple[str, ...]:
    """Bring the dataset's SQL for analysts up to date; the rows are in, whatever becomes of it."""
    try:
        async with database.connection() as connection:
            await curate(connection, declaration.dataset, declaration.table_schema)
    except QuarryError as error:
        log.warning("curated_sql_not_applied", reason=str(error))
        return (f"SQL for analysts of {declaration.dataset} was not applied: {error}",)
    return ()


def _announcement(
    envelope: Envelope[LoadTable], loaded: Loaded, seconds: float, moment: datetime
) -> Envelope[LoadComplete]:
    declaration = envelope.payload
    payload = LoadComplete(
        dataset=declaration.dataset,
        load_id=declaration.load_id,
        table_schema=declaration.table_schema,
        table=declaration.table,
        period=declaration.period,
        outcome=loaded.outcome,
        rows=loaded.rows,
        seconds=seconds,
    )
    return Envelope[LoadComplete].wrap(
        payload, run_id=envelope.run_id, trace=envelope.trace, sent_at=moment
    )

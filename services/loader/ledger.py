"""The ledger: which loads are in the tables, and what a new one has to do because of them."""

from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Literal
from uuid import UUID

from contracts import LoadOutcome, LoadTable
from services.loader.postgres import Connection
from services.loader.sql import lock_key

# One question: each is two round trips.
_STANDING = """
SELECT done.rows, done.inserted, done.updated, done.removed,
       newest.as_of, newest.content_digest, newest.schema_fingerprint
FROM (SELECT) AS once
LEFT JOIN (SELECT * FROM quarry.load WHERE load_id = $1) AS done ON true
LEFT JOIN (
    SELECT * FROM quarry.load
    WHERE $5 AND table_schema = $2 AND table_name = $3 AND period IS NOT DISTINCT FROM $4
      AND outcome IN ('loaded', 'unchanged')
    ORDER BY as_of DESC, loaded_at DESC LIMIT 1
) AS newest ON true
"""

Decision = Literal["apply", "already_loaded", "unchanged", "superseded"]


@dataclass(frozen=True)
class Provenance:
    """Who asked for a load and who does it."""

    message_id: UUID
    run_id: str
    worker: str


@dataclass(frozen=True)
class Loaded:
    """What a load did; `rows` is what the file holds, the others what happened to the table."""

    outcome: LoadOutcome
    rows: int
    inserted: int = 0
    updated: int = 0
    removed: int = 0


@dataclass(frozen=True)
class LatestLoad:
    """The newest state of the same table (and period) that is already in place."""

    as_of: datetime
    content_digest: str
    schema_fingerprint: str


@dataclass(frozen=True)
class NewerObject:
    """The Parquet object of a load; the digest tells whether it is still the same."""

    key: str
    sha256: str


def decide(declaration: LoadTable, latest: LatestLoad | None) -> Decision:
    """Say whether a load that is not in the ledger has anything to do.

    Appended rows always count; for the other modes the newest state wins and equal sources are
    equal rows.
    """
    if latest is None or declaration.mode == "append":
        return "apply"
    same = (latest.content_digest, latest.schema_fingerprint) == (
        declaration.content_digest,
        declaration.schema_fingerprint,
    )
    if latest.as_of > declaration.as_of:
        # An upsert may still bring keys that the newer load did not have.
        return "apply" if declaration.mode == "merge" and not same else "superseded"
    return "unchanged" if same else "apply"


async def prepare(connection: Connection) -> None:
    """Create the ledger where it is missing; safe from several loaders at once."""
    script = (files("services.loader") / "ledger.sql").read_text(encoding="utf-8")
    async with connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({lock_key('quarry', 'ledger')})")
        await connection.execute(script)


async def standing(
    connection: Connection, declaration: LoadTable
) -> tuple[Loaded | None, LatestLoad | None]:
    """Return what the ledger says about a load, if it is in, and the newest state in place.

    With a period, that is the newest of this period; appended rows count whatever is there, so for
    them it is not looked up.
    """
    [row] = await connection.fetch(
        _STANDING,
        declaration.load_id,
        declaration.table_schema,
        declaration.table,
        _period(declaration),
        declaration.mode != "append",
    )
    done = ("rows", "inserted", "updated", "removed")
    newest = ("as_of", "content_digest", "schema_fingerprint")
    return (
        None if row["rows"] is None else Loaded("already_loaded", *(row[name] for name in done)),
        None if row["as_of"] is None else LatestLoad(*(row[name] for name in newest)),
    )


async def newer_objects(connection: Connection, declaration: LoadTable) -> list[NewerObject]:
    """Return the objects of loads of this table that are newer than `declaration` and in place."""
    rows = await connection.fetch(
        "SELECT DISTINCT object_key, object_sha256 FROM quarry.load WHERE table_schema = $1"
        " AND table_name = $2 AND as_of > $3 AND outcome IN ('loaded', 'unchanged')",
        declaration.table_schema,
        declaration.table,
        declaration.as_of,
    )
    return [NewerObject(row["object_key"], row["object_sha256"]) for row in rows]


async def record(
    connection: Connection,
    declaration: LoadTable,
    provenance: Provenance,
    loaded: Loaded,
    *,
    moment: datetime,
    seconds: float,
) -> None:
    """Write a load into the ledger, in the transaction that holds its rows.

    `moment` is when the table's lock was taken, on the server's clock: later loads of the table
    have later moments.
    """
    source = declaration.object
    values = {
        "load_id": declaration.load_id,
        "message_id": provenance.message_id,
        "run_id": provenance.run_id,
        "dataset": declaration.dataset,
        "table_schema": declaration.table_schema,
        "table_name": declaration.table,
        "period": _period(declaration),
        "period_end": declaration.period_end,
        "mode": declaration.mode,
        "as_of": declaration.as_of,
        "outcome": loaded.outcome,
        "rows": loaded.rows,
        "inserted": loaded.inserted,
        "updated": loaded.updated,
        "removed": loaded.removed,
        "object_bucket": source.bucket,
        "object_key": source.key,
        "object_bytes": source.bytes,
        "object_sha256": source.sha256,
        "content_digest": declaration.content_digest,
        "schema_fingerprint": declaration.schema_fingerprint,
        "manifest_key": declaration.manifest_key,
        "worker": provenance.worker,
        "seconds": seconds,
        "loaded_at": moment,
    }
    await _insert(connection, "quarry.load", values)


async def record_failure(
    connection: Connection,
    declaration: LoadTable,
    provenance: Provenance,
    error: Exception,
    seconds: float,
) -> None:
    """Keep a failed attempt; its own transaction is gone."""
    values = {
        "load_id": declaration.load_id,
        "message_id": provenance.message_id,
        "run_id": provenance.run_id,
        "table_schema": declaration.table_schema,
        "table_name": declaration.table,
        "period": _period(declaration),
        "worker": provenance.worker,
        "error_type": type(error).__name__,
        "reason": str(error),
        "seconds": seconds,
    }
    await _insert(connection, "quarry.attempt", values)


async def _insert(connection: Connection, table: str, values: dict[str, object]) -> None:
    places = ", ".join(f"${position}" for position in range(1, len(values) + 1))
    statement = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})"  # noqa: S608  # names from this module
    await connection.execute(statement, *values.values())


def _period(declaration: LoadTable) -> str | None:
    return str(declaration.period) if declaration.period else None

"""Loads for tests: an Arrow table becomes a Parquet file and the message that declares it."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types

from contracts import Envelope, LoadMode, LoadTable, Period, S3Object
from contracts.fingerprint import schema_fingerprint
from services.loader.exactly_once import load_parquet
from services.loader.ledger import Loaded, Provenance
from services.loader.parquet import ParquetRows
from services.loader.pieces import outlined
from services.loader.postgres import Connection
from services.loader.table_lock import Limits

FIRST = datetime(2013, 5, 1, tzinfo=UTC)
PROVENANCE = Provenance(uuid5(NAMESPACE_URL, "message"), "run-1", "test")
LIMITS = Limits(lock_seconds=5, statement_seconds=60, idle_seconds=10)


def bank_rows(assets: dict[int, int | None], *, period: str = "2013Q1") -> pa.Table:
    """A schedule of one quarter: bank id to total assets, with lineage columns."""
    end = Period.parse(period).end
    return pa.table(
        {
            "idrssd": pa.array(list(assets), pa.int64()),
            "period_end": pa.array([end] * len(assets), pa.date32()),
            "rcfd2170": pa.array(list(assets.values()), pa.int64()),
            "filename": pa.array(["rc.txt"] * len(assets), pa.string()),
            "row_number": pa.array(range(3, len(assets) + 3), pa.int64()),
        }
    )


def write(
    path: Path,
    table: pa.Table,
    *,
    mode: LoadMode = "replace_period",
    key: Sequence[str] = ("idrssd", "period_end"),
    name: str = "rc",
    period: str | None = "2013Q1",
    as_of: datetime = FIRST,
    load_id: UUID | None = None,
    digest: str | None = None,
    **options: Any,
) -> LoadTable:
    """Write `table` to `path` and declare it; equal rows have an equal content digest."""
    pq.write_table(table, path, **options)
    return declare(
        path,
        mode=mode,
        key=key,
        name=name,
        period=period,
        as_of=as_of,
        load_id=load_id,
        digest=digest,
    )


def declare(
    path: Path,
    *,
    mode: LoadMode,
    key: Sequence[str],
    name: str,
    period: str | None,
    as_of: datetime,
    load_id: UUID | None = None,
    digest: str | None = None,
) -> LoadTable:
    """Declare the Parquet file at `path`."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    fields = [(field.name, str(field.type)) for field in pq.read_schema(path)]
    parsed = Period.parse(period) if period else None
    end: date | None = parsed.end if parsed else None
    return LoadTable(
        dataset="call_reports",
        load_id=load_id or uuid4(),
        table_schema="call_reports",
        table=name,
        period=parsed,
        period_end=end,
        mode=mode,
        key=tuple(key),
        object=S3Object(
            bucket="lake", key=f"clean/{path.name}", bytes=path.stat().st_size, sha256=sha256
        ),
        rows=pq.read_metadata(path).num_rows,
        schema_fingerprint=schema_fingerprint(fields),
        content_digest=digest or sha256,
        manifest_key="raw/_manifest.json",
        as_of=as_of,
    )


def enveloped(declaration: LoadTable) -> Envelope[LoadTable]:
    """Put a load into its message."""
    return Envelope[LoadTable].wrap(declaration, run_id="run-1", trace=None, sent_at=FIRST)


def piece_digests(path: Path, table: pa.Table, **options: Any) -> list[bytes]:
    """Write `table` to `path` and return the digests of its pieces."""
    write(path, table, **options)
    rows = ParquetRows(path, path.name)
    digests = outlined(rows, ()).result().digests
    rows.close()
    return [*digests]


async def bring(connection: Connection, path: Path, table: pa.Table, **options: Any) -> Loaded:
    """Write `table` to `path` and load it."""
    return await load_parquet(connection, path, write(path, table, **options), PROVENANCE, LIMITS)


async def assets_in(connection: Connection) -> dict[int, int | None]:
    """What `call_reports.rc` says now: bank id to total assets."""
    rows = await connection.fetch("SELECT idrssd, rcfd2170 FROM call_reports.rc ORDER BY idrssd")
    return {row["idrssd"]: row["rcfd2170"] for row in rows}

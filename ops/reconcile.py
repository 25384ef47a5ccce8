"""Comparing what should be the same: zip members, manifest, Parquet, ledger and table."""

import asyncio
import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import polars as pl

from contracts import CollectedFile, LoadTable, Manifest, S3Object, clean_prefix
from contracts.datasets import dataset_named
from ops.dlq.foresight import try_load
from services.loader.postgres import Database
from services.loader.sql import qualified
from shared.errors import PermanentError, QuarryError

_SIDE_BY_SIDE = 8
_COMPARED_ROW_BY_ROW = frozenset({"replace", "replace_period"})


class Lake(Protocol):
    """The part of the lake that is compared."""

    async def get(self, key: str) -> bytes:
        """Read one object."""

    async def keys(self, prefix: str) -> list[str]:
        """List keys."""

    async def download(self, key: str, path: Path) -> None:
        """Read one object into a file."""


@dataclass(frozen=True)
class Difference:
    """Two things that should agree and do not."""

    where: str
    what: str


@dataclass(frozen=True)
class LedgerLine:
    """The newest load in place of one table and period, with its load message's fields."""

    declaration: LoadTable
    run_id: str

    @property
    def name(self) -> str:
        """The load as people say it."""
        return self.declaration.part


@dataclass(frozen=True)
class Reconciled:
    """What was compared, and what differs."""

    folders: int
    files: int
    loads: int
    rows: int
    differences: tuple[Difference, ...]


async def reconcile(
    database: Database, lake: Lake, *, dataset: str | None = None, period: str | None = None
) -> Reconciled:
    """Compare everything that is in place, of one dataset or period if asked.

    Nothing is changed: tables are compared by a load that is rolled back.
    """
    lines = await _ledger(database, dataset, period)
    differences: list[Difference] = []
    manifests = sorted({line.declaration.manifest_key for line in lines})
    files = 0
    records: dict[str, dict[str, int]] = {}
    for key in manifests:
        found, records[key] = await _check_folder(lake, key)
        differences += found
        files += len(records[key])
    for line in lines:
        differences += await _check_load(database, lake, line)
    for line in {(one.declaration.manifest_key, one.run_id): one for one in lines}.values():
        own = records[line.declaration.manifest_key]
        differences += await _check_report(lake, line, lines, own)
    return Reconciled(
        folders=len(manifests),
        files=files,
        loads=len(lines),
        rows=sum(line.declaration.rows for line in lines),
        differences=tuple(differences),
    )


async def _ledger(database: Database, dataset: str | None, period: str | None) -> list[LedgerLine]:
    async with database.connection() as connection:
        if not await connection.fetchval("SELECT to_regclass('quarry.load') IS NOT NULL"):
            return []
        rows = await connection.fetch(
            "SELECT DISTINCT ON (table_schema, table_name, period) * FROM quarry.load"
            " WHERE outcome IN ('loaded', 'unchanged') AND ($1::text IS NULL OR dataset = $1)"
            " AND ($2::text IS NULL OR period = $2)"
            " ORDER BY table_schema, table_name, period, as_of DESC, loaded_at DESC",
            dataset,
            period,
        )
        keys = await connection.fetch(
            "SELECT n.nspname || '.' || c.relname AS name, array_agg(a.attname) AS key"
            " FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey)"
            " WHERE i.indisprimary GROUP BY 1"
        )
    key_of = {row["name"]: tuple(row["key"]) for row in keys}
    return [LedgerLine(_declared(row, key_of), row["run_id"]) for row in rows]


def _declared(row: Any, key_of: dict[str, tuple[str, ...]]) -> LoadTable:
    return LoadTable(
        dataset=row["dataset"],
        load_id=row["load_id"],
        table_schema=row["table_schema"],
        table=row["table_name"],
        period=row["period"],
        mode=row["mode"],
        key=key_of.get(f"{row['table_schema']}.{row['table_name']}", ()),
        object=S3Object(
            bucket=row["object_bucket"],
            key=row["object_key"],
            bytes=row["object_bytes"],
            sha256=row["object_sha256"],
        ),
        rows=row["rows"],
        schema_fingerprint=row["schema_fingerprint"],
        content_digest=row["content_digest"],
        manifest_key=row["manifest_key"],
        as_of=row["as_of"],
    )


async def _check_folder(lake: Lake, key: str) -> tuple[list[Difference], dict[str, int]]:
    """Compare the stored members with the manifest: which there are, their bytes and digests.

    Also returns how many records each file holds, by its name.
    """
    try:
        manifest = Manifest.model_validate_json(await lake.get(key))
    except QuarryError as error:
        return [Difference(key, f"the manifest cannot be read: {error}")], {}
    prefix = key.rpartition("/")[0] + "/"
    stored = {found for found in await lake.keys(prefix) if found != key}
    listed = {file.key for file in manifest.files}
    differences = [
        Difference(name, "is stored, but not in the manifest") for name in sorted(stored - listed)
    ]
    records: dict[str, int] = {}
    gate = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def check(file: CollectedFile) -> str | None:
        async with gate:
            try:
                data = await lake.get(file.key)
            except QuarryError as error:
                return f"is in the manifest, but: {error}"
        records[file.name] = _records(file.name, data)
        if len(data) != file.bytes:
            return f"has {len(data)} bytes, the manifest says {file.bytes}"
        if hashlib.sha256(data).hexdigest() != file.sha256:
            return "does not have the digest of the manifest"
        return None

    checks = await asyncio.gather(*(check(file) for file in manifest.files))
    differences += [
        Difference(file.key, said)
        for file, said in zip(manifest.files, checks, strict=True)
        if said is not None
    ]
    return differences, records


def _records(name: str, data: bytes) -> int:
    """Count the data records of a bulk file: lines end in CR LF; POR has one header line."""
    ended = data.count(b"\r\n") + (bool(data) and not data.endswith(b"\r\n"))
    return ended - (1 if " POR " in name else 2)


async def _check_load(database: Database, lake: Lake, line: LedgerLine) -> list[Difference]:
    """Compare one load's Parquet with the ledger, and the table with the Parquet."""
    declaration = line.declaration
    found: list[Difference] = []
    with tempfile.TemporaryDirectory(prefix="quarry-reconcile-") as folder:
        path = Path(folder) / "rows.parquet"
        try:
            await lake.download(declaration.object.key, path)
        except PermanentError as error:
            return [Difference(line.name, f"its Parquet object is gone: {error}")]
        found += await asyncio.to_thread(_check_parquet, path, line)
    if not found:
        found += await _check_table(database, lake, line)
    return found


def _check_parquet(path: Path, line: LedgerLine) -> list[Difference]:
    declaration = line.declaration
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != declaration.object.sha256:
        return [Difference(line.name, f"{declaration.object.key} is not the object of the ledger")]
    rows = pl.scan_parquet(path).select(pl.len()).collect().item()
    if rows != declaration.rows:
        return [Difference(line.name, f"Parquet has {rows} rows, the ledger {declaration.rows}")]
    return []


async def _check_table(database: Database, lake: Lake, line: LedgerLine) -> list[Difference]:
    """Count the table's rows; where the load is the whole of a period, compare every value."""
    declaration = line.declaration
    if declaration.mode not in _COMPARED_ROW_BY_ROW:
        return await _check_sum_of_loads(database, line)
    count = await _count(database, declaration)
    if count != declaration.rows:
        said = f"the table has {count} rows, the ledger {declaration.rows}"
        return [Difference(line.name, said)]
    # Another id and digest, so that the loader compares again what it has loaded already.
    again = declaration.model_copy(update={"load_id": uuid4(), "content_digest": "0" * 64})
    if declaration.mode != "replace_period":
        return []
    trial = await try_load(again, lake=lake, database=database)
    if trial.inserted or trial.updated or trial.deleted:
        said = (
            f"the table is not its Parquet: {trial.inserted} rows are missing, "
            f"{trial.updated} differ, {trial.deleted} are too many"
        )
        return [Difference(line.name, said)]
    return []


async def _count(database: Database, declaration: LoadTable) -> int:
    table = qualified(declaration.table_schema, declaration.table)
    async with database.connection() as connection:
        if declaration.period is None:
            found = await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608  # quoted name
        else:
            found = await connection.fetchval(
                f'SELECT count(*) FROM {table} WHERE "period_end" = $1',  # noqa: S608  # quoted name
                declaration.period.end,
            )
    return int(found)


async def _check_sum_of_loads(database: Database, line: LedgerLine) -> list[Difference]:
    declaration = line.declaration
    table = qualified(declaration.table_schema, declaration.table)
    async with database.connection() as connection:
        count = await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608  # quoted name
        told = await connection.fetchval(
            "SELECT sum(inserted - removed) FROM quarry.load"
            " WHERE table_schema = $1 AND table_name = $2",
            declaration.table_schema,
            declaration.table,
        )
    if count != told:
        return [Difference(line.name, f"the table has {count} rows, all loads together {told}")]
    return []


async def _check_report(
    lake: Lake, line: LedgerLine, lines: Iterable[LedgerLine], records: Mapping[str, int]
) -> list[Difference]:
    """Compare the processor's account of a folder with the ledger: no row unaccounted for."""
    declaration = line.declaration
    part = str(declaration.period) if declaration.period else "all"
    key = f"{clean_prefix(declaration.dataset, part, line.run_id)}_report.json"
    try:
        report = json.loads(await lake.get(key))
    except (QuarryError, ValueError) as error:
        return [Difference(key, f"the processor's report cannot be read: {error}")]
    loaded = {
        one.declaration.table: one.declaration.rows
        for one in lines
        if (one.run_id, one.declaration.manifest_key) == (line.run_id, declaration.manifest_key)
    }
    found = list(_compare_report(part, report["tables"], loaded))
    if dataset_named(declaration.dataset).format == "cdr_bulk":
        found += _compare_records(part, report["tables"], records)
    return found


def _compare_report(
    part: str, tables: Sequence[dict[str, Any]], loaded: dict[str, int]
) -> Iterable[Difference]:
    for table in tables:
        where = f"{part}/{table['table']}"
        if table["rows_in"] != table["rows_out"] + table["quarantined"]:
            yield Difference(
                where,
                f"{table['rows_in']} rows in, but {table['rows_out']} out and "
                f"{table['quarantined']} quarantined",
            )
        if loaded.get(table["table"], table["rows_out"]) != table["rows_out"]:
            yield Difference(
                where, f"{table['rows_out']} rows cleaned, {loaded[table['table']]} in the ledger"
            )


def _compare_records(
    part: str, tables: Sequence[dict[str, Any]], records: Mapping[str, int]
) -> Iterable[Difference]:
    """Compare the files' own record counts with what the processor read.

    A file may also be described by a table made of all files (the dictionary), so it is compared
    with the table that has the fewest. Of a table with quarantined records a file may hold more,
    duplicates of a key, than the table had rows.
    """
    owner: dict[str, dict[str, Any]] = {}
    for table in sorted(tables, key=lambda table: len(table["files"]), reverse=True):
        owner.update(dict.fromkeys(table["files"], table))
    for name, table in sorted(owner.items()):
        if not table["quarantined"] and records.get(name, table["rows_in"]) != table["rows_in"]:
            yield Difference(
                f"{part}/{table['table']}",
                f"{name} holds {records[name]} records, the processor read {table['rows_in']}",
            )

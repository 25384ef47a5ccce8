"""A row's whole lineage: where it came from, step by step, and what it was before."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol
from uuid import UUID

from contracts import CollectedFile, Manifest, Period
from services.loader.postgres import Connection, Database
from services.loader.sql import qualified, quoted
from shared.errors import PermanentError

_SHOWN_CELLS = 12


class Lake(Protocol):
    """The part of the lake that is followed."""

    async def exists(self, key: str) -> bool:
        """Say whether there is such an object."""

    async def get(self, key: str) -> bytes:
        """Read one object."""


class NoSuchRow(PermanentError):
    """No table, or no row with this key; the sentence says which and what there is."""


@dataclass(frozen=True)
class LoadEntry:
    """The ledger's word on one load."""

    load_id: UUID
    message_id: UUID
    run_id: str
    period: str | None
    outcome: str
    as_of: datetime
    loaded_at: datetime
    rows: int
    object_bucket: str
    object_key: str
    object_sha256: str
    manifest_key: str
    worker: str


@dataclass(frozen=True)
class Version:
    """What the row was until `replaced_at`; only cells that differ. None: it was not there."""

    kind: str
    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None
    known_from: UUID | None
    replaced_by: UUID
    replaced_at: datetime


@dataclass(frozen=True)
class Lineage:
    """One row, from the table back to the source. What is no longer stored is None."""

    table: str
    key: Mapping[str, Any]
    row: Mapping[str, Any]
    load: LoadEntry
    manifest: Manifest | None
    file: CollectedFile | None
    versions: Sequence[Version] = field(default_factory=tuple)


async def explain(database: Database, lake: Lake, table: str, keys: Sequence[str]) -> Lineage:
    """Follow one row back. `keys` are values in key order, or `column=value`; 2013Q1 is a date.

    Appended rows have no key: any `column=value` will do, and of several rows the newest counts.

    Raises:
        NoSuchRow: no such table or row.
    """
    schema, _, name = table.rpartition(".")
    if not schema:
        raise NoSuchRow(f"{table!r} is not schema.table, such as call_reports.rc")
    async with database.connection() as connection:
        types = await _key_columns(connection, schema, name)
        if types:
            key = read_key(types, keys)
        else:
            key = read_conditions(await _columns(connection, schema, name), keys)
        row = await _row(connection, schema, name, key)
        load = await _load(connection, row["load_id"])
        versions = await _versions(connection, schema, name, key)
    manifest = await _manifest(lake, load.manifest_key)
    files = manifest.files if manifest else ()
    return Lineage(
        table=table,
        key=key,
        row=row,
        load=load,
        manifest=manifest,
        file=next((file for file in files if file.name == row.get("filename")), None),
        versions=versions,
    )


def read_key(types: Mapping[str, str], given: Sequence[str]) -> dict[str, Any]:
    """Turn words into the key's values; `types` are the key's columns with PostgreSQL's types.

    Raises:
        NoSuchRow: a column is missing or unknown, or a value does not fit.
    """
    named = dict(word.split("=", 1) for word in given if "=" in word)
    rest = [word for word in given if "=" not in word]
    names = [name for name in types if name not in named]
    # People say the bank first and the quarter last, whatever the order of the index.
    names.sort(key=lambda name: types[name] == "date")
    if len(rest) != len(names) or set(named) - set(types):
        raise NoSuchRow(f"the key is: {', '.join(types)}; give a value for each, or column=value")
    words = named | dict(zip(names, rest, strict=True))
    return {name: _value(words[name], types[name], name) for name in types}


def read_conditions(types: Mapping[str, str], given: Sequence[str]) -> dict[str, Any]:
    """Turn `column=value` words into values of a table without a key.

    Raises:
        NoSuchRow: a word is no condition, a column is unknown, or a value does not fit.
    """
    named = dict(word.split("=", 1) for word in given if "=" in word)
    unknown = [word for word in given if "=" not in word] + sorted(set(named) - set(types))
    if unknown or not named:
        said = f": {unknown[0]!r} is none of its columns" if unknown else ""
        raise NoSuchRow(f"the table has no key; give column=value{said}")
    return {name: _value(word, types[name], name) for name, word in named.items()}


def _value(word: str, kind: str, name: str) -> Any:
    try:
        if kind == "date":
            return Period.parse(word).end if "Q" in word else date.fromisoformat(word)
        if kind in {"bigint", "integer", "smallint"}:
            return int(word)
        if kind == "uuid":
            return UUID(word)
    except ValueError as error:
        raise NoSuchRow(f"{name}={word!r} is not a {kind}") from error
    return word


async def _key_columns(connection: Connection, schema: str, name: str) -> dict[str, str]:
    rows = await connection.fetch(
        "SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type"
        " FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(number, place)"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number"
        " WHERE n.nspname = $1 AND c.relname = $2 AND i.indisprimary ORDER BY k.place",
        schema,
        name,
    )
    return {row["name"]: row["type"] for row in rows}


async def _columns(connection: Connection, schema: str, name: str) -> dict[str, str]:
    rows = await connection.fetch(
        "SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type"
        " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped",
        schema,
        name,
    )
    if not rows:
        raise NoSuchRow(f"there is no table {schema}.{name}; look with: quarry tables")
    return {row["name"]: row["type"] for row in rows}


async def _row(
    connection: Connection, schema: str, name: str, key: Mapping[str, Any]
) -> dict[str, Any]:
    where = " AND ".join(f"{quoted(column)} = ${at}" for at, column in enumerate(key, 1))
    found = await connection.fetchrow(
        f"SELECT * FROM {qualified(schema, name)} WHERE {where}"  # noqa: S608  # quoted names
        " ORDER BY load_update_ts DESC LIMIT 1",
        *key.values(),
    )
    if found is None:
        said = ", ".join(f"{column} = {value}" for column, value in key.items())
        raise NoSuchRow(f"{schema}.{name} has no row with {said}")
    return dict(found)


async def _load(connection: Connection, load_id: UUID) -> LoadEntry:
    row = await connection.fetchrow(
        "SELECT load_id, message_id, run_id, period, outcome, as_of, loaded_at, rows,"
        " object_bucket, object_key, object_sha256, manifest_key, worker"
        " FROM quarry.load WHERE load_id = $1",
        load_id,
    )
    if row is None:
        raise NoSuchRow(f"the row says load {load_id}, which is not in the ledger")
    return LoadEntry(**row)


async def _versions(
    connection: Connection, schema: str, name: str, key: Mapping[str, Any]
) -> list[Version]:
    rows = await connection.fetch(
        "SELECT kind, old, new, known_from, replaced_by, replaced_at FROM quarry.restatement"
        " WHERE table_schema = $1 AND table_name = $2 AND key = $3::jsonb"
        " ORDER BY restatement_id DESC",
        schema,
        name,
        json.dumps(dict(key), default=str),
    )
    return [
        Version(
            kind=row["kind"],
            old=json.loads(row["old"]) if row["old"] else None,
            new=json.loads(row["new"]) if row["new"] else None,
            known_from=row["known_from"],
            replaced_by=row["replaced_by"],
            replaced_at=row["replaced_at"],
        )
        for row in rows
    ]


async def _manifest(lake: Lake, key: str) -> Manifest | None:
    if not await lake.exists(key):
        return None
    return Manifest.model_validate_json(await lake.get(key))


def facts_of(found: Lineage) -> list[tuple[str, str]]:
    """Return the steps from the row back to its source, as name and sentence."""
    load, manifest, file = found.load, found.manifest, found.file
    facts = [
        ("row", ", ".join(f"{name} = {value}" for name, value in found.key.items())),
        ("load", f"{load.load_id}, {load.outcome} {load.loaded_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("worker", load.worker),
        ("message", str(load.message_id)),
        ("run", load.run_id),
        ("Parquet", f"s3://{load.object_bucket}/{load.object_key}"),
        ("its digest", f"sha256 {load.object_sha256}"),
        ("manifest", load.manifest_key + ("" if manifest else " (no longer in the lake)")),
    ]
    if found.row.get("filename"):
        line = f", record {found.row['row_number']}" if found.row.get("row_number") else ""
        facts.append(("file", f"{found.row['filename']}{line}"))
    if file is not None:
        facts.append(("its digest", f"sha256 {file.sha256}, {file.bytes:,} bytes"))
    if manifest is not None:
        facts.append(("source", manifest.source_url))
        facts.append(("collected", f"{manifest.collected_at:%Y-%m-%d %H:%M:%S} UTC"))
        if manifest.archive_name:
            facts.append(("archive", f"{manifest.archive_name}, sha256 {manifest.archive_sha256}"))
    return facts


def version_text(version: Version) -> str:
    """Say what a version changed, a few cells at most."""
    if version.kind != "changed":
        return version.kind
    new = version.new or {}
    cells = [(name, (version.old or {}).get(name), value) for name, value in new.items()]
    cells = [cell for cell in cells if cell[0] not in {"filename", "row_number", "load_id"}]
    shown = [f"{name}: {_cell(old)} → {_cell(value)}" for name, old, value in cells]
    more = f" and {len(shown) - _SHOWN_CELLS} more" if len(shown) > _SHOWN_CELLS else ""
    return "; ".join(shown[:_SHOWN_CELLS]) + more


def _cell(value: Any) -> str:
    return "empty" if value is None else str(value)

"""The command that asks the loader for one table. Pure: the same table asks for the same load."""

import hashlib
from collections.abc import Iterable
from uuid import UUID, uuid5

from contracts import CollectedFile, Dataset, Envelope, FolderComplete, LoadTable, S3Object
from services.processor.written_table import WrittenTable

# Part of every content digest: raise it when the same files would give other rows than before.
RULES_VERSION = 1
_LOAD_IDS = UUID("0b8e0a0c-5f0f-4b53-9d2f-3f0f6c1b7d52")


def order_load(
    envelope: Envelope[FolderComplete],
    dataset: Dataset,
    table: WrittenTable,
    *,
    files: Iterable[CollectedFile],
    bucket: str,
    key: str,
) -> LoadTable:
    """Ask for a table whose Parquet is in the lake as `key`; `files` is what it was made from."""
    event, parquet = envelope.payload, table.parquet
    return LoadTable(
        dataset=dataset.name,
        load_id=load_id(envelope.run_id, f"{dataset.table_schema}.{table.name}", event.part),
        table_schema=dataset.table_schema,
        table=table.name,
        period=event.period,
        mode=dataset.rule_of(table.name).mode,
        key=table.key,
        object=S3Object(bucket=bucket, key=key, bytes=parquet.bytes, sha256=parquet.sha256),
        rows=table.rows,
        schema_fingerprint=parquet.fingerprint,
        content_digest=content_digest(files, parquet.fingerprint, _builder(dataset, table.name)),
        manifest_key=event.manifest.key,
        as_of=event.collected_at,
    )


def load_id(run_id: str, table: str, part: str) -> UUID:
    """Name a load: a redelivered folder asks for the same one, another run for another."""
    return uuid5(_LOAD_IDS, f"{run_id}/{table}/{part}")


def _builder(dataset: Dataset, table: str) -> str:
    return next((builder.digest for builder in dataset.items if builder.name == table), "")


def content_digest(files: Iterable[CollectedFile], fingerprint: str, rules: str = "") -> str:
    """Digest what decides a table's rows: its source files, the rules, and the column types.

    `rules` names those of this table alone. A folder collected again with the same files gives
    the same digest, whatever its run.
    """
    lines = [f"rules {RULES_VERSION}", f"columns {fingerprint}"]
    lines += [f"table {rules}"] if rules else []
    lines += sorted(f"{file.sha256} {file.name}" for file in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()

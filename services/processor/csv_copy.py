"""A table's Parquet once more as CSV, for those who want to look at it."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types

_BATCH_ROWS = 5_000


def write_csv(parquet: Path, path: Path) -> None:
    r"""Write every row, some thousand of a row group at a time, with a header.

    Nothing is written for null and `""` for an empty text; lists are JSON, bytes are hex after
    `\x`, moments ISO 8601.
    """
    with pq.ParquetFile(parquet) as file, path.open("w", encoding="utf-8", newline="") as out:
        out.write(",".join(_quoted(name) for name in file.schema_arrow.names) + "\n")
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], use_threads=False):
                columns = [_values(column) for column in batch.columns]
                for row in zip(*columns, strict=True):
                    out.write(",".join(_cell(value) for value in row) + "\n")


def _values(column: pa.Array) -> list[Any]:
    stored = column.storage if isinstance(column.type, pa.BaseExtensionType) else column
    return list(stored.to_pylist())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if isinstance(value, list | dict):
        return _quoted(json.dumps(value, default=str, ensure_ascii=False))
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    """Quote every text: an empty one is told from null, as PostgreSQL's COPY reads it."""
    return '"' + text.replace('"', '""') + '"'

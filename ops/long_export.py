"""Every value of a dataset as one long table in a Parquet file."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types

from contracts import Dataset, Period
from ops.errors import CommandFailed
from services.loader.postgres import Connection, Database
from services.loader.sql import qualified

SCHEMA = pa.schema(
    [
        ("idrssd", pa.int64()),
        ("year", pa.int16()),
        ("quarter", pa.int8()),
        ("code", pa.string()),
        ("value", pa.float64()),
        ("text", pa.string()),
    ]
)
# Rows held in memory at a time, and the size of a row group.
_BATCH = 100_000
# A float holds every integer below.
_EXACT = 2**53


async def export_long(
    database: Database, dataset: Dataset, periods: Sequence[Period], path: Path
) -> int:
    """Write every value of these quarters, or of all, with nulls left out; return the rows.

    One snapshot of the database, read in batches of 100,000 rows; rows are in no order. The file
    appears whole or not at all.

    Raises:
        CommandFailed: nothing is loaded, a quarter is not, or a float cannot hold a number exactly.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        async with (
            database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            ends = await _loaded(connection, dataset, periods)
            rows = 0
            with pq.ParquetWriter(partial, SCHEMA, compression="zstd") as writer:
                async for batch in _batches(connection, dataset, ends):
                    await asyncio.to_thread(writer.write_batch, batch)
                    rows += batch.num_rows
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return rows


async def _loaded(
    connection: Connection, dataset: Dataset, periods: Sequence[Period]
) -> list[date]:
    function = qualified(dataset.table_schema, "long")
    if not await connection.fetchval(
        "SELECT to_regprocedure($1) IS NOT NULL", f"{function}(date, date, text)"
    ):
        raise CommandFailed(f"{dataset.name} has no long form: load a quarter of it first")
    rows = await connection.fetch(
        "SELECT DISTINCT period_end FROM quarry.load WHERE table_schema = $1"
        " AND period_end IS NOT NULL ORDER BY 1",
        dataset.table_schema,
    )
    there = [row["period_end"] for row in rows]
    if missing := [str(period) for period in periods if period.end not in there]:
        raise CommandFailed(f"not loaded: {', '.join(missing)}; see: quarry tables")
    return [period.end for period in periods] or there


async def _batches(
    connection: Connection, dataset: Dataset, ends: Sequence[date]
) -> AsyncIterator[pa.RecordBatch]:
    schema = dataset.table_schema
    tables = await connection.fetch(
        f"SELECT DISTINCT table_name FROM {qualified(schema, 'code_columns')}() ORDER BY 1"  # noqa: S608  # quoted name
    )
    query = (
        "SELECT idrssd, year, quarter, code, value::double precision, text"  # noqa: S608  # quoted name
        f" FROM {qualified(schema, 'long')}($1, $1, $2)"
    )
    # A table at a time: the server keeps the rows of one call on its disk.
    for end in ends:
        for table in tables:
            cursor = await connection.cursor(query, end, table["table_name"])
            while rows := await cursor.fetch(_BATCH):
                yield await asyncio.to_thread(_batch, rows)


def _batch(rows: Sequence[Any]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
    batch = pa.record_batch(arrays, schema=SCHEMA)
    beyond = batch.filter(
        pc.fill_null(
            pc.and_(pc.greater_equal(pc.abs(batch["value"]), _EXACT), pc.is_finite(batch["value"])),
            fill_value=False,
        )
    )
    for row in beyond.slice(0, 1).to_pylist():
        raise CommandFailed(
            f"{row['code']} of bank {row['idrssd']} in {row['year']}Q{row['quarter']} is 2^53 or"
            " more and may not be exact as a float; read it with SQL"
        )
    return batch

"""Rows into a table by binary COPY: encoded in a thread while the last batch is being sent."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any
from uuid import UUID

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
from pgpq import ArrowToPostgresBinaryEncoder
from pgpq.encoders import LargeStringEncoderBuilder
from pgpq.schema import Jsonb

from services.loader.cells import fitted
from services.loader.parquet import FileColumn, ParquetRows
from services.loader.postgres import Connection
from shared.errors import RowsUnaccounted

_LOAD_ID = "load_id"
_UUID_BYTES = 16


async def copy_rows(
    connection: Connection,
    rows: ParquetRows,
    types: dict[str, str],
    *,
    load_id: UUID,
    schema: str | None,
    table: str,
) -> int:
    """Append every row of the file to a table whose column types are `types`.

    `schema` is None for a temporary table. Memory holds two encoded batches at most.

    Raises:
        RowRefused: a value does not fit its column; the message names column and row.
        RowsUnaccounted: the server did not count the rows that the file has.
    """
    batches = encoded(rows, types, load_id)
    answer = await connection.copy_to_table(
        table,
        schema_name=schema,
        columns=[*(column.name for column in rows.columns), _LOAD_ID],
        source=_ahead(batches),
        format="binary",
    )
    counted = int(answer.removeprefix("COPY "))
    if counted != rows.rows:
        raise RowsUnaccounted(f"{table}: {counted} rows arrived of {rows.rows} in the file")
    return counted


def encoded(rows: ParquetRows, types: dict[str, str], load_id: UUID) -> Iterator[bytes]:
    """Yield the file in PostgreSQL's binary COPY format, header and trailer included."""
    encoder: ArrowToPostgresBinaryEncoder | None = None
    done = 0
    for batch in rows.batches():
        fit = _fitted_batch(batch, rows.columns, types, load_id, done)
        if encoder is None:
            encoder = _encoder(fit.schema, types)
            yield encoder.write_header()
        yield encoder.write_batch(fit)
        done += batch.num_rows
    if encoder is None:
        encoder = ArrowToPostgresBinaryEncoder(pa.schema([]))
        yield encoder.write_header()
    yield encoder.finish()


def _fitted_batch(
    batch: pa.RecordBatch,
    columns: Sequence[FileColumn],
    types: dict[str, str],
    load_id: UUID,
    done: int,
) -> pa.RecordBatch:
    arrays = [
        fitted(values, types[column.name], column=column.source, first_row=done)
        for column, values in zip(columns, batch.columns, strict=True)
    ]
    names = [column.name for column in columns]
    repeated = pa.py_buffer(load_id.bytes * batch.num_rows)
    arrays.append(
        pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(_UUID_BYTES), batch.num_rows, [None, repeated]
        )
    )
    return pa.RecordBatch.from_arrays(arrays, names=[*names, _LOAD_ID])


def _encoder(schema: pa.Schema, types: dict[str, str]) -> ArrowToPostgresBinaryEncoder:
    chosen: dict[str, Any] = {}
    for field in schema:
        if types[field.name] == "jsonb":
            chosen[field.name] = LargeStringEncoderBuilder.new_with_output(field, Jsonb())
        else:
            chosen[field.name] = ArrowToPostgresBinaryEncoder.infer_encoder(field)
    return ArrowToPostgresBinaryEncoder.new_with_encoders(schema, chosen)


async def _ahead(batches: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield one batch while a thread makes the next."""
    coming = asyncio.create_task(asyncio.to_thread(next, batches, None))
    try:
        while (batch := await coming) is not None:
            coming = asyncio.create_task(asyncio.to_thread(next, batches, None))
            yield batch
    finally:
        # A thread cannot be stopped; it must have left the file before the file is closed.
        await asyncio.wait([coming])

"""Rows into a table by binary COPY: encoded in a thread while the last batch is being sent."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeVar
from uuid import UUID

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
from pgpq import ArrowToPostgresBinaryEncoder
from pgpq.encoders import LargeStringEncoderBuilder
from pgpq.schema import Jsonb

from services.loader.cells import fitted
from services.loader.parquet import FileColumn, ParquetRows
from services.loader.postgres import Connection
from shared.errors import RowsUnaccounted

Batch = TypeVar("Batch")
_LOAD_ID = "load_id"
_UUID_BYTES = 16


@dataclass(frozen=True)
class Into:
    """Where rows go: a table (without schema: a temporary one) and its column types by name.

    `frozen` is for a table made in the same transaction: its rows are at once what every later
    reader sees.
    """

    types: dict[str, str]
    table: str
    schema: str | None = None
    frozen: bool = False


async def copy_rows(
    connection: Connection, rows: ParquetRows, into: Into, load_id: UUID | None
) -> int:
    """Append every row of the file, marked with its load; memory holds two encoded batches.

    Only the file's columns that `into` has are copied; without `load_id` that column is left out.

    Raises:
        RowRefused: a value does not fit its column; the message names column and row.
        RowsUnaccounted: the server did not count the rows that the file has.
    """
    columns = [column for column in rows.columns if column.name in into.types]
    names = [column.name for column in columns]
    async with aclosing(_ahead(encoded(rows, columns, into.types, load_id))) as batches:
        answer = await connection.copy_to_table(
            into.table,
            schema_name=into.schema,
            columns=names if load_id is None else [*names, _LOAD_ID],
            source=batches,
            format="binary",
            freeze=into.frozen,
        )
    counted = int(answer.removeprefix("COPY "))
    if counted != rows.rows:
        raise RowsUnaccounted(f"{into.table}: {counted} rows arrived of {rows.rows} in the file")
    return counted


async def copy_pieces(
    connection: Connection, rows: ParquetRows, into: Into, known: Mapping[int, int]
) -> AsyncGenerator[int]:
    """Copy the file's batches one by one, without a load id; yield after each how many rows came.

    `known` is what to leave out: the number of rows by the first row, counted from 0. A batch that
    is not exactly one of these is sent.

    Raises:
        RowRefused: a value does not fit its column; the message names column and row.
        RowsUnaccounted: the server did not count the rows that were sent.
    """
    columns = [column for column in rows.columns if column.name in into.types]
    async with aclosing(_ahead(_pieces(rows, columns, into.types, known))) as pieces:
        async for sent, piece in pieces:
            answer = await connection.copy_to_table(
                into.table,
                columns=[column.name for column in columns],
                source=BytesIO(piece),
                format="binary",
            )
            counted = int(answer.removeprefix("COPY "))
            if counted != sent:
                raise RowsUnaccounted(f"{into.table}: {counted} rows arrived of {sent} sent")
            yield counted


def _pieces(
    rows: ParquetRows,
    columns: Sequence[FileColumn],
    types: dict[str, str],
    known: Mapping[int, int],
) -> Iterator[tuple[int, bytes]]:
    done = 0
    for batch in rows.batches([column.source for column in columns]):
        if known.get(done) != batch.num_rows:
            fit = _fitted_batch(batch, columns, types, None, done)
            encoder = _encoder(fit.schema, types)
            binary = encoder.write_header() + encoder.write_batch(fit) + encoder.finish()
            yield batch.num_rows, binary
        done += batch.num_rows


def encoded(
    rows: ParquetRows, columns: Sequence[FileColumn], types: dict[str, str], load_id: UUID | None
) -> Iterator[bytes]:
    """Yield the file in PostgreSQL's binary COPY format, header and trailer included."""
    encoder: ArrowToPostgresBinaryEncoder | None = None
    done = 0
    for batch in rows.batches([column.source for column in columns]):
        fit = _fitted_batch(batch, columns, types, load_id, done)
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
    load_id: UUID | None,
    done: int,
) -> pa.RecordBatch:
    names = [column.name for column in columns]
    arrays = [
        fitted(
            batch.column(column.source), types[column.name], column=column.source, first_row=done
        )
        for column in columns
    ]
    if load_id is not None:
        names.append(_LOAD_ID)
        repeated = [None, pa.py_buffer(load_id.bytes * batch.num_rows)]
        kind = pa.binary(_UUID_BYTES)
        arrays.append(pa.FixedSizeBinaryArray.from_buffers(kind, batch.num_rows, repeated))
    return pa.RecordBatch.from_arrays(arrays, names=names)


def _encoder(schema: pa.Schema, types: dict[str, str]) -> ArrowToPostgresBinaryEncoder:
    chosen: dict[str, Any] = {}
    for field in schema:
        if types[field.name] == "jsonb":
            chosen[field.name] = LargeStringEncoderBuilder.new_with_output(field, Jsonb())
        else:
            chosen[field.name] = ArrowToPostgresBinaryEncoder.infer_encoder(field)
    return ArrowToPostgresBinaryEncoder.new_with_encoders(schema, chosen)


async def _ahead(batches: Iterator[Batch]) -> AsyncGenerator[Batch]:
    """Yield one batch while a thread makes the next."""
    coming = asyncio.create_task(asyncio.to_thread(next, batches, None))
    try:
        while (batch := await coming) is not None:
            coming = asyncio.create_task(asyncio.to_thread(next, batches, None))
            yield batch
    finally:
        # A thread cannot be stopped; it must have left the file before the file is closed.
        await asyncio.wait([coming])

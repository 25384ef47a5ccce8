"""Rows into a table by binary COPY: the server works on one slice while the next is encoded.

The encoder holds the interpreter's lock, so slices are encoded where they are sent from and are
small; only reading the file, which lets go of it, is done ahead in a thread.
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar
from uuid import UUID

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
from pgpq import ArrowToPostgresBinaryEncoder
from pgpq.encoders import LargeStringEncoderBuilder
from pgpq.schema import Jsonb

from services.loader.cells import fitted
from services.loader.parquet import FileColumn, ParquetRows, Part
from services.loader.postgres import Connection
from shared.errors import RowsUnaccounted

Batch = TypeVar("Batch")
_LOAD_ID = "load_id"
_UUID_BYTES = 16
# PostgreSQL's documentation, COPY, "Binary Format".
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
# Half a megabyte: the socket takes it whole. The first slice is small, so that the server begins.
_SLICE_CELLS = 50_000
_FIRST_SLICE_CELLS = 10_000
# A slice has its price: for what is compared, and not sent in time, there are fewer.
_PART_SLICE_CELLS = 200_000


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


class Ahead(Generic[Batch]):
    """Batches, each made by a thread while the one before is used; the first from the start on."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._coming = self._begin()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        # Cancelled without a shield, it would be done while its thread still reads.
        batch = await asyncio.shield(self._coming)
        if batch is None:
            raise StopAsyncIteration
        self._coming = self._begin()
        return batch

    async def aclose(self) -> None:
        """Wait: a thread cannot be stopped, and must have left the file before that is closed."""
        await asyncio.wait([self._coming])

    def _begin(self) -> asyncio.Future[Batch | None]:
        return asyncio.get_running_loop().run_in_executor(None, next, self._batches, None)


async def copy_rows(
    connection: Connection, rows: ParquetRows, into: Into, load_id: UUID | None
) -> int:
    """Append every row of the file, marked with its load; memory holds two batches.

    Only the file's columns that `into` has are copied; without `load_id` that column is left out.

    Raises:
        RowRefused: a value does not fit its column; the message names column and row.
        RowsUnaccounted: the server did not count the rows that the file has.
    """
    columns = [column for column in rows.columns if column.name in into.types]
    names = [column.name for column in columns]
    async with (
        aclosing(Ahead(_fitted_batches(rows, columns, into.types, load_id))) as batches,
        aclosing(_encoded(batches, _documents(into.types))) as slices,
    ):
        answer = await connection.copy_to_table(
            into.table,
            schema_name=into.schema,
            columns=names if load_id is None else [*names, _LOAD_ID],
            source=slices,
            format="binary",
            freeze=into.frozen,
        )
    counted = int(answer.removeprefix("COPY "))
    if counted != rows.rows:
        raise RowsUnaccounted(f"{into.table}: {counted} rows arrived of {rows.rows} in the file")
    return counted


class FitPart:
    """Consecutive rows of a file, their values as a table's columns take them."""

    def __init__(self, batch: pa.RecordBatch, documents: frozenset[str]) -> None:
        self._batch = batch
        self._documents = documents
        self._ready: list[bytes] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names in the order of the file."""
        return tuple(self._batch.schema.names)

    @property
    def rows(self) -> int:
        """How many there are."""
        height: int = self._batch.num_rows
        return height

    def binary(self, columns: tuple[str, ...]) -> Iterator[bytes]:
        """Yield these columns as one whole binary COPY, a slice at a time."""
        yield _HEADER
        batch, cells = self._batch.select(columns), _PART_SLICE_CELLS
        yield from _tuples(batch, self._documents, cells, cells)
        yield _TRAILER

    def make_ready(self) -> None:
        """Encode all columns for `send` now, and not while they are sent."""
        self._ready = [*self.binary(self.columns)]

    async def send(self, connection: Connection, into: Into) -> None:
        """Append the rows to a table.

        Raises:
            RowsUnaccounted: the server did not count the rows that were sent.
        """
        answer = await connection.copy_to_table(
            into.table,
            columns=self.columns,
            source=_one_by_one(self._ready or self.binary(self.columns)),
            format="binary",
        )
        counted = int(answer.removeprefix("COPY "))
        if counted != self.rows:
            raise RowsUnaccounted(f"{into.table}: {counted} rows arrived of {self.rows} sent")


def fit_parts(
    parts: Iterator[Part],
    columns: Sequence[FileColumn],
    types: dict[str, str],
    ready: Callable[[FitPart], object],
) -> Ahead[FitPart]:
    """Return these columns of each part, without a load id; one is made while another is used.

    `parts` are read and `ready` is called in a thread.

    Raises:
        RowRefused: a value does not fit its column; the message names column and row.
    """
    documents = _documents(types)
    sources = [column.source for column in columns]

    def made() -> Iterator[FitPart]:
        for part in parts:
            batch = _fitted(part.batch.select(sources), columns, types, None, part.first_row)
            piece = FitPart(batch, documents)
            ready(piece)
            yield piece

    return Ahead(made())


async def _one_by_one(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def _encoded(
    batches: AsyncIterator[pa.RecordBatch], documents: frozenset[str]
) -> AsyncGenerator[bytes]:
    yield _HEADER
    async for batch in batches:
        for part in _tuples(batch, documents, _FIRST_SLICE_CELLS, _SLICE_CELLS):
            yield part
    yield _TRAILER


def _fitted_batches(
    rows: ParquetRows, columns: Sequence[FileColumn], types: dict[str, str], load_id: UUID | None
) -> Iterator[pa.RecordBatch]:
    done = 0
    for batch in rows.batches([column.source for column in columns]):
        yield _fitted(batch, columns, types, load_id, done)
        done += batch.num_rows


def _slices(batch: pa.RecordBatch, cells: int, most_cells: int) -> Iterator[pa.RecordBatch]:
    start = 0
    while start < batch.num_rows:
        part = batch.slice(start, max(1, cells // batch.num_columns))
        yield part
        start += part.num_rows
        cells = min(2 * cells, most_cells)


def _fitted(
    batch: pa.RecordBatch,
    columns: Sequence[FileColumn],
    types: dict[str, str],
    load_id: UUID | None,
    done: int,
) -> pa.RecordBatch:
    names = [column.name for column in columns]
    arrays = [
        fitted(values, types[column.name], column=column.source, first_row=done)
        for column, values in zip(columns, batch.columns, strict=True)
    ]
    if load_id is not None:
        names.append(_LOAD_ID)
        repeated = [None, pa.py_buffer(load_id.bytes * batch.num_rows)]
        kind = pa.binary(_UUID_BYTES)
        arrays.append(pa.FixedSizeBinaryArray.from_buffers(kind, batch.num_rows, repeated))
    return pa.RecordBatch.from_arrays(arrays, names=names)


def _documents(types: Mapping[str, str]) -> frozenset[str]:
    return frozenset(name for name, kind in types.items() if kind == "jsonb")


def _tuples(
    batch: pa.RecordBatch, documents: frozenset[str], cells: int, most_cells: int
) -> Iterator[bytes]:
    """Yield the rows as binary COPY has them between `_HEADER` and `_TRAILER`.

    They come in slices of `cells`, each twice as large as the one before up to `most_cells`.
    """
    for part in _slices(batch, cells, most_cells):
        encoder = _encoder(part.schema, documents)
        encoder.write_header()
        # A short batch comes with the trailer only.
        yield encoder.write_batch(part) + encoder.finish().removesuffix(_TRAILER)


def _encoder(schema: pa.Schema, documents: frozenset[str]) -> ArrowToPostgresBinaryEncoder:
    if not documents:
        # Many times quicker than to name the encoders.
        return ArrowToPostgresBinaryEncoder(schema)
    infer = ArrowToPostgresBinaryEncoder.infer_encoder
    chosen: dict[str, Any] = {field.name: infer(field) for field in schema}
    for name in documents.intersection(schema.names):
        field = schema.field(name)
        chosen[name] = LargeStringEncoderBuilder.new_with_output(field, Jsonb())
    return ArrowToPostgresBinaryEncoder.new_with_encoders(schema, chosen)

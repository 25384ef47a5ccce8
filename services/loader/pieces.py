"""Which pieces of a merged file a table already has, so that they are not even read again.

A file that is delivered whole every day with a few rows more at its end is, but for its last
piece, what yesterday's was. A piece is as good as its digest for as long as no load has changed or
removed a row of the table since; a table that was truncated or rewritten by hand has another file
and no pieces.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from itertools import groupby, pairwise
from typing import Any
from uuid import UUID

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types

from services.loader.migrate import Table
from services.loader.parquet import LINEAGE, ParquetRows, Piece
from services.loader.postgres import Connection

_IN_PLACE = """
SELECT p.load_id, p.digest FROM quarry.piece AS p JOIN quarry.load AS l USING (load_id)
WHERE l.table_schema = $1 AND l.table_name = $2
  AND p.file_node = pg_relation_filenode($3::text::regclass)
  AND l.loaded_at >= (
      SELECT coalesce(max(loaded_at), '-infinity') FROM quarry.load
      WHERE table_schema = $1 AND table_name = $2
      AND outcome = 'loaded' AND updated + removed > 0)
ORDER BY p.load_id, p.number
"""
_KEEP = """
INSERT INTO quarry.piece (load_id, number, digest, file_node)
SELECT $1, piece.number, piece.digest, node
FROM unnest($2::bytea[]) WITH ORDINALITY AS piece (digest, number),
     pg_relation_filenode($3::text::regclass) AS node
WHERE node IS NOT NULL
"""


@dataclass(frozen=True)
class KeyRange:
    """How many rows a part has; `ends` are the values of its first key and then of its last."""

    rows: int
    ends: tuple[Any, ...]


@dataclass(frozen=True)
class InPlace:
    """Digests of pieces whose rows are all in a table as they were delivered.

    `files` are those of whole loads, each in order: a file that has just these has no key twice.
    """

    digests: frozenset[bytes] = frozenset()
    files: frozenset[tuple[bytes, ...]] = frozenset()


@dataclass(frozen=True)
class Outline:
    """A file before its rows are read: its pieces with their digests, and the ranges of its keys.

    `ranges` are those of all parts, or None unless each key is greater than the one before: where
    keys ascend, none is there twice.
    """

    pieces: tuple[Piece, ...]
    digests: tuple[bytes, ...]
    ranges: tuple[KeyRange, ...] | None

    def lacking(self, known: InPlace) -> list[Piece]:
        """Return the pieces that the table may lack."""
        if self.ranges is None:
            return [] if self.digests in known.files else [*self.pieces]
        with_digests = zip(self.pieces, self.digests, strict=True)
        return [piece for piece, digest in with_digests if digest not in known.digests]

    def to_remember(self, known: InPlace, *, changed: bool) -> Sequence[bytes]:
        """Return the digests that are not known yet, once the whole file is in place.

        All of them if this load `changed` rows: what was known before counts no longer. All of
        them, too, if the keys do not ascend: it is found again as a whole or not at all.
        """
        if changed:
            return self.digests
        if self.ranges is not None:
            return [digest for digest in self.digests if digest not in known.digests]
        return [] if self.digests in known.files else self.digests


def outlined(rows: ParquetRows, key: Sequence[str]) -> Future[Outline]:
    """Begin, in a thread, to read a file's keys and to take the digests of its pieces."""
    return rows.ahead(partial(_outline, rows, key))


def _outline(rows: ParquetRows, key: Sequence[str]) -> Outline:
    pieces = tuple(rows.pieces())
    # What tells rows from one another is their data, whatever else it is.
    digests = tuple(_digests(rows, pieces, without=LINEAGE.difference(key)))
    return Outline(pieces, digests, key_ranges(rows, key))


def key_ranges(rows: ParquetRows, key: Sequence[str]) -> tuple[KeyRange, ...] | None:
    """Return the keys' range of every part; None unless each key is greater than the one before."""
    sources = {column.name: column.source for column in rows.columns}
    keys = [sources[name] for name in key]
    ranges: list[KeyRange] = []
    last: pa.RecordBatch | None = None
    for part in (part for piece in rows.pieces() for part in rows.parts(piece, keys)):
        own = part.batch.select(keys)
        if not _ascends(pa.Table.from_batches([own] if last is None else [last, own])):
            return None
        last = own.slice(own.num_rows - 1)
        first = own.slice(0, 1)
        ranges.append(KeyRange(own.num_rows, (*_only_row(first), *_only_row(last))))
    return tuple(ranges)


async def in_place(connection: Connection, table: Table) -> InPlace:
    """Return what the ledger knows to be in the table; rows that were only added change nothing."""
    found = await connection.fetch(_IN_PLACE, table.schema, table.name, table.sql)
    files = {tuple(row[1] for row in of_load) for _, of_load in groupby(found, lambda row: row[0])}
    return InPlace(frozenset(row[1] for row in found), frozenset(files))


async def remember(
    connection: Connection, load_id: UUID, table: Table, digests: Sequence[bytes]
) -> None:
    """Record that the table has these pieces once this transaction is committed."""
    if digests:
        await connection.execute(_KEEP, load_id, digests, table.sql)


def _digests(
    rows: ParquetRows, pieces: Sequence[Piece], without: frozenset[str]
) -> Iterator[bytes]:
    """Yield a SHA-256 of each piece: what its columns are, and their bytes as they lie in the file.

    Columns `without` are left out. Equal digests are equal rows; equal rows from another writer, or
    grouped otherwise, have others.
    """
    columns, extents = _columns(rows), _extents(rows)
    for piece in pieces:
        digest = hashlib.sha256(columns.encode())
        for group in (rows.metadata.row_group(number) for number in piece.groups):
            chunks = _chunks(group, without)
            lie = [extents[_start(chunk)] for chunk in chunks]
            about = [
                (chunk.compression, len(extent)) for chunk, extent in zip(chunks, lie, strict=True)
            ]
            digest.update(f"{group.num_rows} {about} ".encode())
            for extent in _joined(lie):
                for content in rows.raw(extent):
                    digest.update(content)
        yield digest.digest()


def _columns(rows: ParquetRows) -> str:
    """Return all that the footer says of how columns are to be read."""
    schema = rows.metadata.schema
    physical = [
        (
            one.path,
            one.physical_type,
            one.length,
            one.max_definition_level,
            one.max_repetition_level,
        )
        for one in map(schema.column, range(rows.metadata.num_columns))
    ]
    logical = rows.schema.to_string(show_field_metadata=False, show_schema_metadata=False)
    return f"{logical} {physical} "


def _extents(rows: ParquetRows) -> dict[int, range]:
    """Return, by its start, where in the file a chunk's bytes are: up to the next one.

    Old writers count a chunk's bytes without all of its headers (Apache Parquet, PARQUET-816).
    """
    groups = (rows.metadata.row_group(number) for number in range(rows.metadata.num_row_groups))
    chunks = (chunk for group in groups for chunk in _chunks(group))
    sizes = {_start(chunk): chunk.total_compressed_size for chunk in chunks}
    places = pairwise([*sorted(sizes), rows.data_end])
    return {start: range(start, max(next_one, start + sizes[start])) for start, next_one in places}


def _chunks(
    group: pq.RowGroupMetaData, without: frozenset[str] = frozenset()
) -> list[pq.ColumnChunkMetaData]:
    # A group of no rows has no bytes and its chunks no place.
    chunks = [group.column(place) for place in range(group.num_columns) if group.num_rows]
    return [chunk for chunk in chunks if chunk.path_in_schema not in without]


def _start(chunk: pq.ColumnChunkMetaData) -> int:
    # Zero stands for none, too.
    first: int = min(filter(None, (chunk.dictionary_page_offset, chunk.data_page_offset)))
    return first


def _joined(extents: Sequence[range]) -> Iterator[range]:
    """Yield these parts of the file, those that follow on one another as one."""
    whole = range(0)
    for extent in extents:
        if whole and extent.start == whole.stop:
            whole = range(whole.start, extent.stop)
            continue
        if whole:
            yield whole
        whole = extent
    if whole:
        yield whole


def _only_row(batch: pa.RecordBatch) -> list[Any]:
    return [column[0].as_py() for column in batch.columns]


def _ascends(keys: pa.Table) -> bool:
    keys = keys.combine_chunks()
    before, after = keys.slice(0, keys.num_rows - 1), keys.slice(1)
    greater = pa.scalar(value=False)
    for earlier, later in zip(reversed(before.columns), reversed(after.columns), strict=True):
        tied = pc.and_(pc.equal(earlier, later), greater)
        greater = pc.or_(pc.less(earlier, later), tied)
    # A null or a NaN is in no order.
    return bool(pc.all(pc.fill_null(greater, fill_value=False), min_count=0).as_py())

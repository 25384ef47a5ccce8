"""Which pieces of a merged file a table already has, so that they are not sent to it again.

A file that is delivered whole every day with a few rows more at its end is, but for its last
piece, what yesterday's was. A piece is as good as its digest for as long as no load has changed or
removed a row of the table since; a table that was truncated or rewritten by hand has another file
and no pieces.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # ships no types

from contracts import LoadTable
from services.loader.arrival import LINEAGE, Target
from services.loader.parquet import ParquetRows, Part
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


# Types whose buffers alone do not say what the values are.
_POINTING = (pa.types.is_nested, pa.types.is_string_view, pa.types.is_binary_view)


@dataclass(frozen=True)
class KeyRange:
    """How many rows a piece has; `ends` are the values of its first key and then of its last."""

    rows: int
    ends: tuple[Any, ...]


@dataclass(frozen=True)
class InPlace:
    """Digests of pieces whose rows are all in a table as they were delivered.

    `files` are those of whole loads, each in order: a file that has just these has no key twice.
    """

    digests: frozenset[bytes] = frozenset()
    files: frozenset[tuple[bytes, ...]] = frozenset()


@dataclass
class Pieces:
    """The pieces of one file, as far as it was read; `ordered` says whether its keys ascend.

    Where a row came from (`filename`, `row_number`) is not part of its data.
    """

    in_place: InPlace
    ordered: bool
    _digests: list[bytes] = field(default_factory=list)

    def lacking(self, rows: ParquetRows) -> Iterator[Part]:
        """Yield the pieces that the table may lack; all are noted."""
        for part in rows.pieces():
            if not self.in_place.digests:
                yield part
                # Only to be remembered: there is time while the piece is being looked for.
                self._note(part)
            elif not self._note(part):
                yield part

    def read(self, rows: ParquetRows) -> bool:
        """Note every piece of a file and say whether it is the whole file of an earlier load."""
        for part in rows.pieces():
            self._note(part)
        return tuple(self._digests) in self.in_place.files

    def to_remember(self, *, changed: bool) -> list[bytes]:
        """Return the digests that are not known yet, once the whole file is in place.

        All of them if this load `changed` rows: what was known before counts no longer. All of
        them, too, if the file is not `ordered`: it is found again as a whole or not at all.
        """
        if changed:
            return self._digests
        if self.ordered:
            return [digest for digest in self._digests if digest not in self.in_place.digests]
        return [] if tuple(self._digests) in self.in_place.files else self._digests

    def _note(self, part: Part) -> bool:
        """Say whether the piece is known to be in place."""
        names = [name for name in part.batch.schema.names if name not in LINEAGE]
        self._digests.append(_digest(part.batch.select(names)))
        return self._digests[-1] in self.in_place.digests


def key_ranges(rows: ParquetRows, key: Sequence[str]) -> list[KeyRange] | None:
    """Return the keys' range of every piece; None unless each key is greater than the one before.

    Where keys ascend, none is there twice.
    """
    sources = {column.name: column.source for column in rows.columns}
    keys = [sources[name] for name in key]
    ranges: list[KeyRange] = []
    last: pa.RecordBatch | None = None
    for part in rows.pieces(keys):
        own = part.batch.select(keys)
        if not _ascends(pa.Table.from_batches([own] if last is None else [last, own])):
            return None
        last = own.slice(own.num_rows - 1)
        first = own.slice(0, 1)
        ranges.append(KeyRange(own.num_rows, (*_only_row(first), *_only_row(last))))
    return ranges


async def in_place(connection: Connection, declaration: LoadTable, target: Target) -> InPlace:
    """Return what the ledger knows to be in the table; rows that were only added change nothing."""
    names = (declaration.table_schema, declaration.table)
    found = await connection.fetch(_IN_PLACE, *names, target.table.sql)
    files = {tuple(row[1] for row in of_load) for _, of_load in groupby(found, lambda row: row[0])}
    return InPlace(frozenset(row[1] for row in found), frozenset(files))


async def remember(
    connection: Connection, declaration: LoadTable, target: Target, digests: Sequence[bytes]
) -> None:
    """Record that the table has these pieces once this transaction is committed."""
    if digests:
        await connection.execute(_KEEP, declaration.load_id, digests, target.table.sql)


def _digest(batch: pa.RecordBatch) -> bytes:
    """Return a SHA-256 of names, types and values, however the rows lay in their file."""
    digest = hashlib.sha256(f"{batch.num_rows} {batch.schema.remove_metadata()} ".encode())
    alike: dict[pa.DataType, list[pa.Array]] = {}
    for column in batch.columns:
        plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        alike.setdefault(plain.type, []).append(plain)
    for columns in alike.values():
        # Put together anew, buffers hold these rows only and nothing of those around them.
        values = pa.concat_arrays([*columns, columns[0].slice(0, 0)])
        digest.update(f"{values.null_count} ".encode())
        for content in _contents(values):
            digest.update(f"{content.size} ".encode())
            digest.update(content)
    return digest.digest()


def _contents(values: pa.Array) -> Iterator[pa.Buffer]:
    if any(is_one(values.type) for is_one in _POINTING):
        # A stream has the words of dictionaries inside, too, and views with what they show.
        stream = pa.BufferOutputStream()
        whole = pa.RecordBatch.from_arrays([values], names=[""])
        with pa.ipc.new_stream(stream, whole.schema) as writer:
            writer.write_batch(whole)
        yield stream.getvalue()
        return
    if values.null_count:
        # The reader leaves anything in the place of a null.
        yield from _present(values.buffers()[:1])
        values = values.drop_null()
    yield from _present(values.buffers()[1:])


def _present(buffers: list[pa.Buffer | None]) -> list[pa.Buffer]:
    return [buffer for buffer in buffers if buffer is not None]


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

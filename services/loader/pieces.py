"""Which pieces of a merged file a table already has, so that they are not sent to it again.

A file that is delivered whole every day with a few rows more at its end is, but for its last
piece, what yesterday's was. A piece is as good as its digest for as long as no load has changed
the table since; a table that was truncated or rewritten by hand has another file and no pieces.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # ships no types

from contracts import LoadTable
from services.loader.arrival import LINEAGE, Target
from services.loader.parquet import ParquetRows
from services.loader.postgres import Connection

_IN_PLACE = """
SELECT p.digest FROM quarry.piece AS p JOIN quarry.load AS l USING (load_id)
WHERE l.table_schema = $1 AND l.table_name = $2
  AND p.file_node = pg_relation_filenode($3::text::regclass)
  AND l.loaded_at >= (
      SELECT max(loaded_at) FROM quarry.load WHERE table_schema = $1 AND table_name = $2
      AND outcome = 'loaded' AND inserted + updated + removed > 0)
"""
_KEEP = """
INSERT INTO quarry.piece (load_id, number, digest, file_node)
SELECT $1, piece.number, piece.digest, node
FROM unnest($2::bytea[]) WITH ORDINALITY AS piece (digest, number),
     pg_relation_filenode($3::text::regclass) AS node
WHERE node IS NOT NULL
"""


@dataclass(frozen=True)
class Piece:
    """Rows of a file from `first_row`, counted from 0, and the digest of their data."""

    first_row: int
    rows: int
    digest: bytes


def ascending_pieces(rows: ParquetRows, key: Sequence[str]) -> tuple[Piece, ...]:
    """Return the file as pieces if every key is greater than the one before.

    Empty when keys do not ascend; where they do, no key is there twice. Where a row came from
    (`filename`, `row_number`) is not part of its data.
    """
    sources = {column.name: column.source for column in rows.columns}
    keys = [sources[name] for name in key]
    pieces: list[Piece] = []
    done = 0
    last: pa.RecordBatch | None = None
    for batch in rows.pieces([source for name, source in sources.items() if name not in LINEAGE]):
        own = batch.select(keys)
        if not _ascends(pa.Table.from_batches([own] if last is None else [last, own])):
            return ()
        last = own.slice(own.num_rows - 1)
        digest = hashlib.sha256(str(batch.schema.remove_metadata()).encode())
        digest.update(batch.serialize())
        pieces.append(Piece(done, batch.num_rows, digest.digest()))
        done += batch.num_rows
    return tuple(pieces)


async def in_place(
    connection: Connection, declaration: LoadTable, target: Target
) -> frozenset[bytes]:
    """Return digests of pieces whose rows are all in the table as they were delivered."""
    names = (declaration.table_schema, declaration.table)
    return frozenset(row[0] for row in await connection.fetch(_IN_PLACE, *names, target.table.sql))


async def remember(
    connection: Connection, declaration: LoadTable, target: Target, pieces: Sequence[Piece]
) -> None:
    """Record that the table has these pieces once this transaction is committed."""
    digests = [piece.digest for piece in pieces]
    await connection.execute(_KEEP, declaration.load_id, digests, target.table.sql)


def _ascends(keys: pa.Table) -> bool:
    keys = keys.combine_chunks()
    before, after = keys.slice(0, keys.num_rows - 1), keys.slice(1)
    greater = pa.scalar(value=False)
    for earlier, later in zip(reversed(before.columns), reversed(after.columns), strict=True):
        tied = pc.and_(pc.equal(earlier, later), greater)
        greater = pc.or_(pc.less(earlier, later), tied)
    # A null or a NaN is in no order.
    return bool(pc.all(pc.fill_null(greater, fill_value=False)).as_py())

"""Which rows of a PostgreSQL table are new or changed, by the transactions that wrote them.

Neither `last_updated` nor the client's clock decides: a transaction that commits late writes rows
with old times. Every row version carries the transaction that wrote it (`xmin`), and an update
writes a new version. What was delivered is known by transaction id (`Watermark`):

- `pg_visible_in_snapshot` would not do: `pg_snapshot` lists top-level transactions only, so a row
  written after a SAVEPOINT, whose `xmin` is the subtransaction's, would pass for visible while its
  transaction still runs, and be missed. A subtransaction's id is above its parent's, hence never
  below the oldest running id; from there on the ids that were visible are listed one by one.
- `xmin` has 32 bits; its epoch is that of the snapshot, since no living version is from the future.
  A frozen version keeps its `xmin`, so once in 2^32 transactions a row looks new and is delivered
  again. Ids below 3 are of rows that were frozen by PostgreSQL 9.3 or older.
- A physical standby has the primary's ids. Ids that run backwards, or another database oid, mean a
  restored copy: `SourceRestored`, because nothing tells then what was delivered.
- Deleted rows are not seen, and every poll reads the whole table, since `xmin` has no index.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import asyncpg

from contracts.packet_record import Watermark
from shared.errors import PermanentError

_SNAPSHOT = """
SELECT (SELECT oid::bigint FROM pg_database WHERE datname = current_database()) AS database_oid,
       pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest_running,
       pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next_id
"""
# $1 is the snapshot's next id. Distance modulo 2^32, subtracted from a 64-bit id.
_WRITER = """CASE WHEN t.xmin::text::bigint < 3 THEN 0 ELSE
    $1::bigint - (($1::bigint - t.xmin::text::bigint) & 4294967295) END"""


class SourceRestored(PermanentError):
    """The source is not the database that earlier packets came from."""


@dataclass(frozen=True)
class Snapshot:
    """What the transaction sees: which database, the oldest id still running, the next id."""

    database_oid: int
    oldest_running: int
    next_id: int

    @classmethod
    async def of(cls, connection: "asyncpg.Connection[asyncpg.Record]") -> "Snapshot":
        """Read the snapshot of the open REPEATABLE READ transaction."""
        row = await connection.fetchrow(_SNAPSHOT)
        if row is None:
            raise TypeError("a SELECT without FROM gives one row")
        return cls(**row)

    def check(self, since: Watermark, table: str) -> None:
        """Refuse a watermark that cannot be of this database.

        Raises:
            SourceRestored: it is of another database, or of this one's future.
        """
        if (since.database_oid, True) != (
            self.database_oid,
            since.oldest_running <= self.next_id,
        ):
            raise SourceRestored(
                f"{table}: the last packet was taken from database oid {since.database_oid} at "
                f"transaction {since.oldest_running}, this is oid {self.database_oid} at "
                f"{self.next_id}; it was restored or replaced. Remove the table's records under "
                "packets/ and its counter to deliver all rows again"
            )


def new_rows(table: str) -> str:
    """Return the query for rows written since a watermark, one JSON document each.

    `$1` next id, `$2` oldest running id of the watermark, `$3` and `$4` first and last ids of the
    delivered ranges; `table` is quoted.
    """
    return f"""SELECT row_to_json(t) FROM {table} AS t WHERE {_WRITER} >= $2::bigint
        AND NOT EXISTS (SELECT FROM unnest($3::bigint[], $4::bigint[]) AS seen (first, last)
                        WHERE {_WRITER} BETWEEN seen.first AND seen.last)"""  # noqa: S608  # quoted


def late_writers(table: str) -> str:
    """Return the query for ids of visible rows that are not below the oldest running one (`$2`)."""
    return f"""SELECT DISTINCT {_WRITER} AS writer FROM {table} AS t
        WHERE {_WRITER} >= $2::bigint ORDER BY 1"""  # noqa: S608  # quoted


def ranges_of(ids: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Join ascending ids into ranges, both ends included."""
    ranges: list[tuple[int, int]] = []
    for each in ids:
        if ranges and each == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], each)
        else:
            ranges.append((each, each))
    return tuple(ranges)

"""Rows on their way into a table, and the comparison of staged rows with those that are there."""

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from contracts import LoadTable
from services.loader.binary_copy import Into, copy_rows
from services.loader.migrate import Table
from services.loader.parquet import LINEAGE, ParquetRows
from services.loader.pieces import Outline
from services.loader.postgres import Connection
from services.loader.sql import listed, quoted

STAGED = "quarry_incoming"
# Comparing 700 columns is quicker than compiling the comparison.
COMPARISON = "SET LOCAL jit = off; SET LOCAL work_mem = '64MB'"
# A load that touches less than one row in so many is looked up row by row.
_SMALL_PART = 50

Fetch = Callable[[str, Path], Awaitable[None]]


@dataclass(frozen=True)
class Arrival:
    """What arrives: the declaration, the open file, when the table's lock was taken.

    `fetch` brings another object of the lake into a file; only a late merge needs it. `outline` is
    what a merge begins with.
    """

    declaration: LoadTable
    rows: ParquetRows
    moment: datetime
    fetch: Fetch | None = None
    outline: Future[Outline] | None = None


@dataclass(frozen=True)
class Target:
    """A table that fits the file: its column types by name, and the key its rows have.

    `scope` is SQL about `t`, such as its period: rows outside it do not matter to the load.
    """

    table: Table
    types: dict[str, str]
    key: tuple[str, ...]
    scope: str | None = None

    @property
    def values(self) -> tuple[str, ...]:
        """Columns that carry data: neither key nor lineage."""
        return tuple(name for name in self.types if name not in {*self.key, *LINEAGE})

    @property
    def same_key(self) -> str:
        """SQL: row `t` of the table and staged row `s` have the same key."""
        pairs = [f"t.{quoted(name)} = s.{quoted(name)}" for name in self.key]
        return " AND ".join([*pairs, self.scope] if self.scope else pairs)

    @property
    def differs(self) -> str:
        """SQL: the data of `t` and `s` is not the same; null equals null, NaN equals NaN."""
        if not self.values:
            return "false"
        return f"ROW({listed(self.values, 't.')}) IS DISTINCT FROM ROW({listed(self.values, 's.')})"

    @property
    def is_new(self) -> str:
        """SQL: the table has no row with the key of `s`."""
        return (
            f"NOT EXISTS (SELECT FROM {self.table.sql} AS t WHERE {self.same_key})"  # quoted names
        )


async def copy_into(connection: Connection, target: Target, arrival: Arrival) -> int:
    """Append the rows to the table itself; return how many."""
    table = target.table
    into = Into(target.types, table.name, table.schema, frozen=not table.exists)
    return await copy_rows(connection, arrival.rows, into, arrival.declaration.load_id)


async def stage(connection: Connection, target: Target, arrival: Arrival) -> None:
    """Bring the rows into a temporary table with the columns of the target.

    Raises:
        DuplicateKey: two rows of the file have one key.
    """
    await connection.execute(
        f"CREATE TEMPORARY TABLE {STAGED} (LIKE {target.table.sql} INCLUDING DEFAULTS)"
        f" ON COMMIT DROP; {COMPARISON}"
    )
    into = Into(target.types, STAGED)
    await copy_rows(connection, arrival.rows, into, arrival.declaration.load_id)
    await connection.execute(f"CREATE UNIQUE INDEX ON {STAGED} ({listed(target.key)})")
    await choose_join(connection, target, arrival.rows.rows)


async def choose_join(connection: Connection, target: Target, staged: int) -> None:
    """Let the planner know the staged rows, and look only a small part of a table up by row.

    The table's own rows may have come a moment ago and have no statistics yet; a planner that
    believes in one row compares each with each.
    """
    await connection.execute(f"ANALYZE {STAGED} ({listed(target.key)})")
    estimate = await connection.fetchval(
        "SELECT reltuples FROM pg_class WHERE oid = $1::text::regclass", target.table.sql
    )
    if target.scope or staged * _SMALL_PART >= estimate:
        await connection.execute("SET LOCAL enable_nestloop = off")


async def update_changed(connection: Connection, target: Target) -> int:
    """Take over staged rows whose data differs; the others keep the load that brought them."""
    columns = [name for name in target.types if name not in target.key]
    sets = ", ".join(f"{quoted(name)} = s.{quoted(name)}" for name in columns)
    answer = await connection.execute(
        f"UPDATE {target.table.sql} AS t SET {sets} FROM {STAGED} AS s"  # noqa: S608  # quoted names
        f" WHERE {target.same_key} AND {target.differs}"
    )
    return rows_touched(answer)


async def insert_new(connection: Connection, target: Target) -> int:
    """Insert staged rows whose key the table does not have."""
    names = tuple(target.types)
    answer = await connection.execute(
        f"INSERT INTO {target.table.sql} ({listed(names)}) SELECT {listed(names, 's.')}"  # noqa: S608  # quoted names
        f" FROM {STAGED} AS s WHERE {target.is_new}"
    )
    return rows_touched(answer)


def rows_touched(answer: str) -> int:
    """Return the number in a command tag such as `UPDATE 12`."""
    return int(answer.rsplit(" ", 1)[-1])

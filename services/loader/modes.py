"""The load modes as SQL: what becomes of the rows that are there and those that arrive."""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts import LoadTable
from services.loader.binary_copy import copy_rows
from services.loader.ledger import Loaded
from services.loader.migrate import Table
from services.loader.parquet import RESERVED, ParquetRows
from services.loader.postgres import Connection
from services.loader.sql import listed, quoted

# Where a row came from; it changes with every load and is no change of the row.
LINEAGE = frozenset({*RESERVED, "filename", "row_number"})
_PERIOD = "period_end"
_STAGED = "quarry_incoming"


@dataclass(frozen=True)
class Target:
    """A table that fits the file: its column types by name, and the key its rows have."""

    table: Table
    types: dict[str, str]
    key: tuple[str, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """Columns that carry data: neither key nor lineage."""
        return tuple(name for name in self.types if name not in {*self.key, *LINEAGE})


async def apply(
    connection: Connection, target: Target, rows: ParquetRows, declaration: LoadTable
) -> Loaded:
    """Bring the rows in as the declared mode says; the caller holds lock and transaction."""
    if declaration.mode == "append":
        return await _append(connection, target, rows, declaration)
    if declaration.mode == "replace":
        removed = _count(await connection.execute(f"DELETE FROM {target.table.sql}"))  # noqa: S608  # quoted name
        loaded = await _append(connection, target, rows, declaration)
        return Loaded("loaded", loaded.rows, inserted=loaded.inserted, removed=removed)
    if declaration.mode == "replace_period" and not await _has_period(
        connection, target, declaration
    ):
        return await _append(connection, target, rows, declaration)
    await _stage(connection, target, rows, declaration)
    removed = 0
    if declaration.mode == "replace_period":
        removed = _count(await connection.execute(delete_absent(target), declaration.period_end))
    updated = _count(await connection.execute(update_changed(target)))
    inserted = _count(await connection.execute(insert_new(target)))
    return Loaded("loaded", rows.rows, inserted=inserted, updated=updated, removed=removed)


def delete_absent(target: Target) -> str:
    """Delete rows of the period ($1) that the new version no longer has."""
    return (
        f"DELETE FROM {target.table.sql} AS t WHERE t.{quoted(_PERIOD)} = $1 AND NOT EXISTS"  # noqa: S608  # quoted names
        f" (SELECT FROM {_STAGED} AS s WHERE {_same_key(target.key)})"
    )


def update_changed(target: Target) -> str:
    """Take over rows whose data differs; the others keep the load that brought them."""
    columns = [name for name in target.types if name not in target.key]
    sets = ", ".join(f"{quoted(name)} = s.{quoted(name)}" for name in columns)
    return (
        f"UPDATE {target.table.sql} AS t SET {sets} FROM {_STAGED} AS s"  # noqa: S608  # quoted names
        f" WHERE {_same_key(target.key)} AND {differs(target.values)}"
    )


def insert_new(target: Target) -> str:
    """Insert rows whose key the table does not have."""
    names = tuple(target.types)
    return (
        f"INSERT INTO {target.table.sql} ({listed(names)}) SELECT {listed(names, 's.')}"  # noqa: S608  # quoted names
        f" FROM {_STAGED} AS s WHERE NOT EXISTS"
        f" (SELECT FROM {target.table.sql} AS t WHERE {_same_key(target.key)})"
    )


def differs(values: Sequence[str]) -> str:
    """Say when the data of `t` and `s` is not the same; null equals null, NaN equals NaN."""
    if not values:
        return "false"
    return f"ROW({listed(tuple(values), 't.')}) IS DISTINCT FROM ROW({listed(tuple(values), 's.')})"


def _same_key(key: Sequence[str]) -> str:
    return " AND ".join(f"t.{quoted(name)} = s.{quoted(name)}" for name in key)


async def _append(
    connection: Connection, target: Target, rows: ParquetRows, declaration: LoadTable
) -> Loaded:
    copied = await copy_rows(
        connection,
        rows,
        target.types,
        load_id=declaration.load_id,
        schema=target.table.schema,
        table=target.table.name,
    )
    return Loaded("loaded", copied, inserted=copied)


async def _has_period(connection: Connection, target: Target, declaration: LoadTable) -> bool:
    statement = f"SELECT EXISTS (SELECT FROM {target.table.sql} WHERE {quoted(_PERIOD)} = $1)"  # noqa: S608  # quoted names
    return bool(await connection.fetchval(statement, declaration.period_end))


async def _stage(
    connection: Connection, target: Target, rows: ParquetRows, declaration: LoadTable
) -> None:
    await connection.execute(
        f"CREATE TEMPORARY TABLE {_STAGED} (LIKE {target.table.sql} INCLUDING DEFAULTS)"
        " ON COMMIT DROP"
    )
    await copy_rows(
        connection,
        rows,
        target.types,
        load_id=declaration.load_id,
        schema=None,
        table=_STAGED,
    )


def _count(answer: str) -> int:
    """Rows touched, from a command tag such as `UPDATE 12`."""
    return int(answer.rsplit(" ", 1)[-1])

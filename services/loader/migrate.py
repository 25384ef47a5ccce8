"""What has to change in the database before a file's columns fit its table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import asyncpg

from services.loader.columns import widest
from services.loader.parquet import FileColumn
from services.loader.postgres import Connection
from services.loader.sql import listed, qualified, quoted
from shared.errors import SchemaMismatch

_MAX_COLUMNS = 1_600
_CONSTRAINTS = {"load_update_ts": " NOT NULL DEFAULT now()", "load_id": " NOT NULL"}
# A float holds every integer up to here; beyond, widening would change values.
_EXACT_IN_FLOAT = 2**53
_STATE = """
SELECT c.relkind::text AS kind, a.attnum AS number, a.attname AS name, a.attisdropped AS dropped,
       replace(format_type(a.atttypid, a.atttypmod), ', ', ',') AS type, d.description
FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
LEFT JOIN pg_description d ON d.objoid = c.oid AND d.objsubid = a.attnum
                          AND d.classoid = 'pg_class'::regclass
WHERE c.oid = to_regclass($1)
ORDER BY a.attnum
"""


@dataclass(frozen=True)
class Table:
    """A table as it is: types by column in order; `slots` counts dropped columns too."""

    schema: str
    name: str
    types: dict[str, str] = field(default_factory=dict)
    descriptions: dict[str, str | None] = field(default_factory=dict)
    slots: int = 0
    exists: bool = True
    partitioned: bool = False

    @property
    def sql(self) -> str:
        """Its quoted name."""
        return qualified(self.schema, self.name)


@dataclass(frozen=True)
class Change:
    """The statements that make a table fit, and the types its columns have then."""

    actions: tuple[str, ...]
    types: dict[str, str]


async def read_table(connection: Connection, schema: str, name: str) -> Table:
    """Look a table up in the catalog, in one round trip."""
    rows = await connection.fetch(_STATE, qualified(schema, name))
    live = [row for row in rows if row["number"] is not None and not row["dropped"]]
    return Table(
        schema=schema,
        name=name,
        types={row["name"]: row["type"] for row in live},
        descriptions={row["name"]: row["description"] for row in live},
        slots=len(rows),
        exists=bool(rows),
        partitioned=bool(rows) and rows[0]["kind"] == "p",
    )


def plan(
    table: Table, columns: Sequence[FileColumn], key: Sequence[str], empty: frozenset[str]
) -> Change:
    """Work out how `table` takes `columns`: columns are added and widened, never dropped.

    `empty` names columns of the table that hold nothing but null; those may take any type.

    Raises:
        SchemaMismatch: no type holds both the old and the new values, the table would exceed
            1,600 columns, or the key has a column that the file lacks.
    """
    names = {column.name for column in columns}
    if missing := [name for name in key if name not in names]:
        raise SchemaMismatch(f"{table.schema}.{table.name}: the file lacks key columns {missing}")
    if not table.exists:
        return Change((), _new_types(columns))
    added = [column for column in columns if column.name not in table.types]
    if table.slots + len(added) > _MAX_COLUMNS:
        raise SchemaMismatch(
            f"{table.schema}.{table.name} has used {table.slots} of {_MAX_COLUMNS} columns and "
            f"the file brings {len(added)} new ones"
        )
    changed = {
        column.name: column.type if column.name in empty else _widest(table, column)
        for column in mismatched(table, columns)
    }
    changed = {name: kind for name, kind in changed.items() if kind != table.types[name]}
    actions = [f"ADD COLUMN {quoted(column.name)} {column.type}" for column in added]
    actions += [_retype(name, table.types[name], kind, empty) for name, kind in changed.items()]
    types = {**table.types, **changed, **{column.name: column.type for column in added}}
    return Change(tuple(actions), types)


def mismatched(table: Table, columns: Iterable[FileColumn]) -> list[FileColumn]:
    """Return the file's columns with values whose type is not the table's."""
    return [
        column
        for column in columns
        if not column.empty
        and column.name in table.types
        and table.types[column.name] != column.type
    ]


def overflow_check(table: Table, change: Change) -> str | None:
    """Return a query for whether integers would lose digits by becoming floats; None: no need."""
    narrowed = [
        name
        for name, kind in change.types.items()
        if kind == "double precision" and table.types.get(name) == "bigint"
    ]
    if not narrowed:
        return None
    beyond = " OR ".join(f"abs({quoted(name)}) > {_EXACT_IN_FLOAT}" for name in narrowed)
    return f"SELECT EXISTS (SELECT FROM {table.sql} WHERE {beyond})"  # noqa: S608  # quoted names


async def empty_columns(
    connection: Connection, table: Table, names: Sequence[str]
) -> frozenset[str]:
    """Say which of these columns hold nothing but null."""
    if not names:
        return frozenset()
    # Stops at the first value, which a filled column has early.
    tests = ", ".join(
        f"NOT EXISTS (SELECT FROM {table.sql} WHERE {quoted(name)} IS NOT NULL)"  # quoted names
        for name in names
    )
    row = await connection.fetchrow(f"SELECT {tests}")  # quoted names
    verdicts = row.values() if row is not None else ()
    return frozenset(name for name, empty in zip(names, verdicts, strict=True) if empty)


async def planned(
    connection: Connection, table: Table, columns: Sequence[FileColumn], key: Sequence[str]
) -> Change:
    """Work out what to change, asking the table for what its catalog entry does not tell."""
    conflicts = [column.name for column in mismatched(table, columns)]
    change = plan(table, columns, key, await empty_columns(connection, table, conflicts))
    check = overflow_check(table, change)
    if check is not None and await connection.fetchval(check):
        raise SchemaMismatch(
            f"{table.schema}.{table.name} holds integers beyond 2^53 in a column that the file "
            "turns into a float; no type holds both exactly"
        )
    return change


def statement(table: Table, change: Change, key: Sequence[str], *, swappable: bool = False) -> str:
    """Return the one statement that carries a change out; empty when there is nothing to do.

    A `swappable` table is a parent whose only partition can be exchanged.
    """
    if not table.exists:
        return _create(table, change, key, swappable=swappable)
    # One statement, so that the table is rewritten once at most.
    return f"ALTER TABLE {table.sql} {', '.join(change.actions)}" if change.actions else ""


def require_permission(table: Table, todo: str, *, allowed: bool) -> None:
    """Refuse a change that this role must leave to the migration role.

    Raises:
        SchemaMismatch: there is something to do and `allowed` is false.
    """
    if todo and not allowed:
        raise SchemaMismatch(
            f"{table.schema}.{table.name} does not fit the file and QUARRY_MAY_MIGRATE is off; "
            f"let the migration role run: {todo}"
        )


async def carry_out(connection: Connection, table: Table, todo: str) -> None:
    """Run the statement that makes `table` fit.

    Raises:
        SchemaMismatch: something outside Quarry, such as a view, needs a column as it is; the
            message names it.
    """
    try:
        await connection.execute(todo)
    except asyncpg.FeatureNotSupportedError as error:
        raise SchemaMismatch(
            f"{table.schema}.{table.name} has to change for the file, but {error.detail}; drop it, "
            "replay the message and create it again"
        ) from error


async def describe(connection: Connection, table: Table, columns: Sequence[FileColumn]) -> None:
    """Write the descriptions that differ from the table's comments."""
    new = {
        column.name: column.description
        for column in columns
        if column.description and column.description != table.descriptions.get(column.name)
    }
    if not new:
        return
    # COMMENT takes no parameters, so the server itself quotes the texts.
    script = await connection.fetchval(
        "SELECT string_agg(format('COMMENT ON COLUMN %s.%I IS %L', $1::text, name, text), ';')"
        " FROM unnest($2::text[], $3::text[]) AS described (name, text)",
        table.sql,
        list(new),
        list(new.values()),
    )
    await connection.execute(script)


def _new_types(columns: Sequence[FileColumn]) -> dict[str, str]:
    types = {column.name: column.type for column in columns}
    return types | {"load_update_ts": "timestamp with time zone", "load_id": "uuid"}


def _create(table: Table, change: Change, key: Sequence[str], *, swappable: bool) -> str:
    lines = [
        f"{quoted(name)} {kind}{_CONSTRAINTS.get(name, '')}" for name, kind in change.types.items()
    ]
    if key:
        lines.append(f"PRIMARY KEY ({listed(tuple(key))})")
    parent = f" PARTITION BY LIST ({quoted(key[0] if key else 'load_id')})" if swappable else ""
    return f"CREATE TABLE {table.sql} ({', '.join(lines)}){parent}"


def _widest(table: Table, column: FileColumn) -> str:
    try:
        return widest(table.types[column.name], column.type)
    except SchemaMismatch as error:
        raise SchemaMismatch(f"{table.schema}.{table.name}.{column.name}: {error}") from error


def _retype(name: str, old: str, new: str, empty: frozenset[str]) -> str:
    column = quoted(name)
    if name in empty:
        value = "NULL"
    elif old == "boolean" and new not in {"text", "boolean"}:
        value = f"{column}::integer"
    else:
        value = column
    return f"ALTER COLUMN {column} TYPE {new} USING {value}::{new}"

"""`quarry sql` and `quarry tables`: what landed in the database."""

import asyncio
import csv
import json as json_module
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import asyncpg
import typer
from rich.table import Table

from contracts.datasets import all_datasets
from infra.names import Environment
from ops.commands.options import Env, Json
from ops.errors import CommandFailed
from ops.screen import err, out
from ops.target import find_database, find_database_of, in_own_database, own_databases

_SHOWN_ROWS = 200


@dataclass(frozen=True)
class Answer:
    """Rows of a statement, or `status` (`UPDATE 3`) for one that has none."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    status: str


def sql(
    statement: Annotated[
        str, typer.Argument(help='Such as "select count(*) from call_reports.rc"')
    ],
    *,
    dataset: Annotated[
        str | None, typer.Option(help="Ask the database of this dataset, if it has its own.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")] = False,
    json: Json = False,
    env: Env = "local",
) -> None:
    """Run one SQL statement on the database and print its rows."""
    answer = ask(find_database_of(env, dataset), statement)
    if as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(answer.columns)
        writer.writerows(answer.rows)
    elif json:
        rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
        out.print_json(json_module.dumps(rows, default=str))
    else:
        print_answer(answer)


def tables(env: Env = "local", json: Json = False) -> None:
    """List the tables with their rows, columns and quarters."""
    answer = asyncio.run(_describe_all(find_database(env), env))
    if json:
        rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
        out.print_json(json_module.dumps(rows, default=str))
    else:
        print_answer(answer, limit=len(answer.rows))


def ask(database_url: str, statement: str) -> Answer:
    """Run one statement in a transaction of its own.

    Raises:
        CommandFailed: PostgreSQL's own sentence, and its hint and position if it gives them.
    """
    return asyncio.run(_ask(database_url, statement))


def print_answer(answer: Answer, *, limit: int = _SHOWN_ROWS) -> None:
    """Print rows as a table, numbers to the right; what is beyond `limit` is counted."""
    if not answer.columns:
        out.print(answer.status, highlight=False)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for position, column in enumerate(answer.columns):
        numeric = all(_is_number(row[position]) for row in answer.rows) and answer.rows
        table.add_column(
            column,
            justify="right" if numeric else "left",
            overflow="fold" if len(answer.columns) > 1 else "ignore",
        )
    for row in answer.rows[:limit]:
        table.add_row(*(_cell(value) for value in row))
    out.print(table, markup=False, highlight=False)
    if len(answer.rows) > limit:
        err.print(f"… {len(answer.rows) - limit:,} more rows; --csv prints all")


async def _connect(database_url: str) -> "asyncpg.Connection[asyncpg.Record]":
    try:
        return await asyncpg.connect(database_url, timeout=10)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise CommandFailed(f"the database does not answer: {error}; try: quarry up") from error


async def _ask(database_url: str, statement: str) -> Answer:
    connection = await _connect(database_url)
    try:
        prepared = await connection.prepare(statement)
        rows = await prepared.fetch()
        columns = tuple(attribute.name for attribute in prepared.get_attributes())
        return Answer(columns, [tuple(row) for row in rows], prepared.get_statusmsg() or "")
    except asyncpg.PostgresError as error:
        raise CommandFailed(_sentence(error)) from error
    finally:
        await connection.close()


async def _describe_all(database_url: str, env: Environment) -> Answer:
    """List the usual database's tables, then those of datasets' own databases."""
    connection = await _connect(database_url)
    try:
        there = await connection.fetch(
            "SELECT datname FROM pg_database WHERE datname = any($1) ORDER BY 1",
            own_databases(env),
        )
    finally:
        await connection.close()
    rows = await _describe_tables(database_url)
    for own in there:
        rows += await _describe_tables(in_own_database(database_url, own["datname"]))
    return Answer(("table", "rows", "columns", "quarters", "first", "last"), rows, "")


async def _describe_tables(database_url: str) -> list[tuple[Any, ...]]:
    connection = await _connect(database_url)
    schemas = [dataset.table_schema for dataset in all_datasets().values()]
    try:
        found = await connection.fetch(
            """
            select table_schema, table_name, count(*) as columns,
                   bool_or(column_name = 'period_end') as periodic
            from information_schema.columns
            join information_schema.tables using (table_schema, table_name)
            where table_schema = any($1) and table_type = 'BASE TABLE'
              and not (select relispartition from pg_class
                       where oid = format('%I.%I', table_schema, table_name)::regclass)
            group by 1, 2 order by 1, 2
            """,
            schemas,
        )
        return [await _describe(connection, table) for table in found]
    finally:
        await connection.close()


async def _describe(
    connection: "asyncpg.Connection[asyncpg.Record]", table: asyncpg.Record
) -> tuple[Any, ...]:
    quoted = ".".join(
        '"' + table[part].replace('"', '""') + '"' for part in ("table_schema", "table_name")
    )
    ends = "period_end" if table["periodic"] else "null::date"
    counted = await connection.fetchrow(
        f"select count(*), count(distinct {ends}), min({ends}), max({ends}) from {quoted}"  # noqa: S608  # quoted names from the catalogue
    )
    rows, quarters, first, last = counted or (0, 0, None, None)
    name = f"{table['table_schema']}.{table['table_name']}"
    return (name, rows, table["columns"], quarters or None, first, last)


def _sentence(error: asyncpg.PostgresError) -> str:
    more = {name: getattr(error, name, None) for name in ("detail", "hint")}
    return "\n".join([str(error), *(f"{name}: {text}" for name, text in more.items() if text)])


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in value)
    return str(value)

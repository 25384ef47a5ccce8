"""The ToteSys database on the stack's own PostgreSQL server, filled, and changed on request."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from ops.sources.totesys_rows import made_up_rows, published_rows
from ops.sources.totesys_tables import TABLES, columns_of, create_statements

DATABASE = "totesys"
_PUBLISHED = Path("totesys") / "parquet" / "source"


@dataclass(frozen=True)
class Filled:
    """What the demo source holds now."""

    published: bool
    created: bool
    rows: dict[str, int]


def source_url(database_url: str) -> str:
    """Return the address of the ToteSys database on the server of `database_url`."""
    return urlunsplit(urlsplit(database_url)._replace(path=f"/{DATABASE}"))


def data_folder() -> Path:
    """Return where published data would lie: `QUARRY_DATA`, else beside the project."""
    given = os.environ.get("QUARRY_DATA")
    return Path(given) if given else Path(__file__).parents[3] / "shared" / "data"


async def fill(database_url: str) -> Filled:
    """Create and fill the database unless it is there."""
    admin = await asyncpg.connect(database_url)
    try:
        known = await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE)
        if not known:
            await admin.execute(f'CREATE DATABASE "{DATABASE}"')
    finally:
        await admin.close()
    folder = data_folder() / _PUBLISHED
    connection = await asyncpg.connect(source_url(database_url))
    try:
        empty = not await connection.fetchval("SELECT to_regclass('public.payment')::text")
        if empty:
            async with connection.transaction():
                await _create(connection, folder)
        counts = {
            table: await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608  # our own names
            for table in TABLES
        }
    finally:
        await connection.close()
    return Filled(folder.is_dir(), empty, counts)


async def _create(connection: "asyncpg.Connection[asyncpg.Record]", folder: Path) -> None:
    rows = published_rows(folder) if folder.is_dir() else made_up_rows()  # noqa: ASYNC240  # once
    for table, statement in zip(TABLES, create_statements(), strict=True):
        await connection.execute(statement)
        await connection.copy_records_to_table(
            table, records=rows[table], columns=list(columns_of(table))
        )
        await connection.execute(
            "SELECT setval(pg_get_serial_sequence($1, $2), $3)",
            table,
            f"{table}_id",
            len(rows[table]),
        )


async def change(database_url: str, rows: int) -> int:
    """Change so many sales orders, the lowest ids first, in one transaction; return how many."""
    connection = await asyncpg.connect(source_url(database_url))
    try:
        answer = await connection.execute(
            "UPDATE sales_order SET units_sold = units_sold + 1, last_updated = now()"
            " WHERE sales_order_id IN (SELECT sales_order_id FROM sales_order"
            " ORDER BY sales_order_id LIMIT $1)",
            rows,
        )
    finally:
        await connection.close()
    return int(answer.rsplit(" ", 1)[-1])

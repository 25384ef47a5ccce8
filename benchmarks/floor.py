"""The floor: what reading, parsing and the server's own COPY of the same rows cost, and no more."""

import time
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import asyncpg
import polars as pl

_POLARS = {
    "bigint": pl.Int64,
    "double precision": pl.Float64,
    "boolean": pl.Boolean,
}


@dataclass(frozen=True)
class Floor:
    """Seconds on this machine, and how much was moved."""

    read_and_parse: float
    copy: float
    rows: int
    tables: int

    @property
    def seconds(self) -> float:
        """What no pipeline that parses and loads these files can beat by much."""
        return self.read_and_parse + self.copy


async def measure_floor(archive: Path, database: asyncpg.Connection, exchange: Path) -> Floor:
    """Measure on the tables a pipeline run has just loaded from `archive`.

    `exchange` is a folder that the server's own user can write.
    """
    types = await _column_types(database)
    started = time.perf_counter()
    for name, data in _members(archive):
        _parse(name, data, types)
    read_and_parse = time.perf_counter() - started
    copied = [await _copy_again(database, table, exchange) for table in await _tables(database)]
    return Floor(
        read_and_parse,
        sum(seconds for seconds, _ in copied),
        sum(rows for _, rows in copied),
        len(copied),
    )


def _members(archive: Path) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(archive) as opened:
        return [(name, opened.read(name)) for name in opened.namelist() if "Readme" not in name]


def _parse(name: str, data: bytes, types: dict[str, str]) -> pl.DataFrame:
    header_lines = 1 if " POR " in name else 2
    columns = data.split(b"\r\n", 1)[0].decode("ascii").replace('"', "").split("\t")
    schema = {
        column or "end_of_line": _POLARS.get(types.get(column.lower(), "text"), pl.String)
        for column in columns
    }
    return pl.read_csv(
        BytesIO(data),
        separator="\t",
        quote_char=None,
        has_header=False,
        skip_lines=header_lines,
        schema=schema,
        null_values=["", "CONF"],
        ignore_errors=True,
        truncate_ragged_lines=True,
    )


async def _column_types(database: asyncpg.Connection) -> dict[str, str]:
    rows = await database.fetch(
        "select column_name, data_type from information_schema.columns"
        " where table_schema = 'call_reports'"
    )
    return {row["column_name"]: row["data_type"] for row in rows}


async def _tables(database: asyncpg.Connection) -> list[str]:
    rows = await database.fetch(
        "select tablename from pg_tables where schemaname = 'call_reports' order by 1"
    )
    return [row["tablename"] for row in rows]


async def _copy_again(
    database: asyncpg.Connection, table: str, exchange: Path
) -> tuple[float, int]:
    """Write the table to a binary file, then time the server reading it into an equal table."""
    source, target = f'call_reports."{table}"', f'floor."{table}"'
    file = exchange / f"{table}.bin"
    await database.execute("create schema if not exists floor")
    await database.execute(f"drop table if exists {target}")
    await database.execute(f"create table {target} (like {source} including all)")
    await database.execute(f"copy {source} to '{file}' (format binary)")
    started = time.perf_counter()
    status = await database.execute(f"copy {target} from '{file}' (format binary)")
    seconds = time.perf_counter() - started
    file.unlink()
    await database.execute(f"drop table {target}")
    return seconds, int(status.split()[-1])

"""Other ways to bring a Parquet file into a PostgreSQL table, each as its own documentation has it.

Runs in a virtual environment of its own (`.venv-peers`), so it imports nothing of Quarry:
`python benchmarks/peers.py --url URL --parquet FILE --table SCHEMA.TABLE --repeats 5` prints the
seconds of each as JSON. The table is emptied before each.
"""

import argparse
import asyncio
import csv
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi  # type: ignore[import-not-found]  # only in .venv-peers
import asyncpg
import duckdb  # type: ignore[import-not-found]  # only in .venv-peers
import duckdb_extension_postgres_scanner  # type: ignore[import-not-found]  # only in .venv-peers
import pandas as pd
import psycopg  # type: ignore[import-not-found]  # only in .venv-peers
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types
import sqlalchemy  # type: ignore[import-not-found]  # only in .venv-peers

_BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Target:
    """Where rows go, and the file they come from."""

    url: str
    parquet: Path
    schema: str
    table: str


def adbc(target: Target) -> None:
    """ADBC's `adbc_ingest` of a stream of Arrow batches."""
    file = pq.ParquetFile(target.parquet)
    reader = pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(_BATCH_ROWS))
    with (
        adbc_driver_postgresql.dbapi.connect(target.url) as connection,
        connection.cursor() as cursor,
    ):
        cursor.adbc_ingest(target.table, reader, mode="append", db_schema_name=target.schema)
        connection.commit()


def duckdb_postgres(target: Target) -> None:
    """DuckDB's postgres extension: INSERT … SELECT, which it sends as binary COPY."""
    package = Path(duckdb_extension_postgres_scanner.__file__).parent
    [extension] = package.rglob("*.duckdb_extension")
    with duckdb.connect() as connection:
        connection.execute(f"LOAD '{extension}'")
        connection.execute(f"ATTACH '{target.url}' AS warehouse (TYPE postgres)")
        columns, _ = _rows(target)
        table = f'warehouse.{target.schema}."{target.table}" ({columns})'
        connection.execute(f"INSERT INTO {table} SELECT * FROM read_parquet('{target.parquet}')")  # noqa: S608  # own names


def dlt_parquet(target: Target) -> None:
    """dlt: a resource of Arrow tables, Parquet as load package (through ADBC)."""
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}
    # It reads its settings when it is imported.
    import dlt  # type: ignore[import-not-found]  # noqa: PLC0415  # only in .venv-peers

    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            "peers",
            destination=dlt.destinations.postgres(target.url),
            dataset_name="dlt_peer",
            pipelines_dir=folder,
        )
        rows = dlt.resource(pq.ParquetFile(target.parquet).iter_batches(_BATCH_ROWS), name="peer")
        pipeline.run(rows, write_disposition="append", loader_file_format="parquet")


def psycopg_binary(target: Target) -> None:
    """Binary COPY of psycopg 3, row by row, with the columns' types set."""
    columns, rows = _rows(target)
    with psycopg.connect(target.url) as connection, connection.cursor() as cursor:
        kinds = [column.type_code for column in _described(cursor, target)]
        statement = f'COPY {target.schema}."{target.table}" ({columns}) FROM STDIN (FORMAT BINARY)'
        with cursor.copy(statement) as copy:
            copy.set_types(kinds)
            for row in rows:
                copy.write_row(row)


def asyncpg_records(target: Target) -> None:
    """The method `copy_records_to_table` of asyncpg."""

    async def copy() -> None:
        connection = await asyncpg.connect(target.url)
        _, rows = _rows(target)
        names = pq.ParquetFile(target.parquet).schema_arrow.names
        await connection.copy_records_to_table(
            target.table, schema_name=target.schema, columns=names, records=rows
        )
        await connection.close()

    asyncio.run(copy())


def pandas_copy(target: Target) -> None:
    """The method `to_sql` of pandas with COPY, as its user guide has it."""
    frame = pd.read_parquet(target.parquet, dtype_backend="pyarrow")
    frame["load_id"] = "\\x" + frame["load_id"][0].hex()
    engine = sqlalchemy.create_engine(target.url.replace("postgresql://", "postgresql+psycopg2://"))
    frame.to_sql(
        target.table,
        engine,
        schema=target.schema,
        if_exists="append",
        index=False,
        method=_copy_csv,
        chunksize=_BATCH_ROWS,
    )
    engine.dispose()


PEERS: dict[str, Callable[[Target], None]] = {
    "ADBC adbc_ingest": adbc,
    "DuckDB postgres extension": duckdb_postgres,
    "dlt (Parquet)": dlt_parquet,
    "psycopg binary COPY": psycopg_binary,
    "asyncpg copy_records_to_table": asyncpg_records,
    "pandas to_sql (COPY method)": pandas_copy,
}


def _copy_csv(table: Any, connection: Any, keys: list[str], rows: Iterable[Any]) -> None:
    """Copied from pandas' user guide, "Insertion method" (io.sql)."""
    buffer = StringIO()
    csv.writer(buffer).writerows(rows)
    buffer.seek(0)
    columns = ", ".join(f'"{key}"' for key in keys)
    with connection.connection.cursor() as cursor:
        cursor.copy_expert(
            f'COPY {table.schema}."{table.name}" ({columns}) FROM STDIN WITH CSV', buffer
        )


def _rows(target: Target) -> tuple[str, Iterable[tuple[Any, ...]]]:
    file = pq.ParquetFile(target.parquet)
    columns = ", ".join(f'"{name}"' for name in file.schema_arrow.names)
    batches = file.iter_batches(_BATCH_ROWS)
    rows = (
        row
        for batch in batches
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)
    )
    return columns, rows


def _described(cursor: Any, target: Target) -> Any:
    columns, _ = _rows(target)
    cursor.execute(f'SELECT {columns} FROM {target.schema}."{target.table}" LIMIT 0')  # noqa: S608  # a benchmark's own names
    return cursor.description


def measure(target: Target, repeats: int, wanted: list[str]) -> dict[str, float]:
    """Return median seconds of each; they take turns, so that noise is shared."""
    seconds: dict[str, list[float]] = {}
    expected = pq.ParquetFile(target.parquet).metadata.num_rows
    with psycopg.connect(target.url, autocommit=True) as connection:
        for _ in range(repeats):
            for name in wanted:
                table = "dlt_peer.peer" if name.startswith("dlt") else f"{target.schema}.peer"
                connection.execute("DROP SCHEMA IF EXISTS dlt_peer CASCADE")
                # In this order: what was emptied last is the memory that the next one gets.
                connection.execute("CHECKPOINT")
                connection.execute(f"TRUNCATE {target.schema}.{target.table}")
                started = time.perf_counter()
                PEERS[name](target)
                seconds.setdefault(name, []).append(time.perf_counter() - started)
                counted = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608  # a benchmark's own names
                if counted != (expected,):
                    raise RuntimeError(f"{name} brought {counted} of {expected} rows")
    return {name: statistics.median(taken) for name, taken in seconds.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--parquet", type=Path, required=True)
    parser.add_argument("--table", required=True, help="SCHEMA.TABLE")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer", choices=PEERS, action="append")
    given = parser.parse_args()
    into = Target(given.url, given.parquet, *given.table.split("."))
    print(json.dumps(measure(into, given.repeats, given.peer or [*PEERS])))

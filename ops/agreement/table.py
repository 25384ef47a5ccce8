"""A table against the Parquet objects of its loads."""

import asyncio
import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import polars as pl

from ops.agreement.difference import Difference, Lake
from ops.agreement.ledger import LedgerLine
from ops.agreement.same_rows import compare_rows
from ops.dlq.foresight import TRIAL_LIMITS, try_load
from services.loader.exactly_once import load_parquet
from services.loader.ledger import Provenance
from services.loader.postgres import Connection, Database
from services.loader.sql import qualified
from shared.errors import PermanentError, QuarryError


async def check_table(
    database: Database, lake: Lake, lines: Sequence[LedgerLine]
) -> list[Difference]:
    """Compare one table with its loads in place, the oldest first.

    Each load's object must be that of the ledger, and the table what its loads make of it: the
    loads are done again and the result is compared row by row, in a transaction that is rolled
    back.
    """
    mode = lines[-1].declaration.mode
    lines = lines[-1:] if mode == "replace" else lines
    with tempfile.TemporaryDirectory(prefix="quarry-reconcile-") as folder:
        paths = [Path(folder) / f"{at}.parquet" for at in range(len(lines))]
        found = [
            one
            for line, path in zip(lines, paths, strict=True)
            for one in await _check_object(lake, line, path)
        ]
        if found:
            return found
        try:
            if mode == "replace_period":
                checks = [await _check_period(database, lake, line) for line in lines]
                return [one for own in checks for one in own]
            return await _check_against_loads(database, lines, paths)
        except QuarryError as error:
            declaration = lines[-1].declaration
            where = f"{declaration.table_schema}.{declaration.table}"
            return [Difference(where, f"cannot be compared: {error}")]


async def _check_object(lake: Lake, line: LedgerLine, path: Path) -> list[Difference]:
    try:
        await lake.download(line.declaration.object.key, path)
    except PermanentError as error:
        return [Difference(line.name, f"its Parquet object is gone: {error}")]
    return await asyncio.to_thread(_check_parquet, path, line)


def _check_parquet(path: Path, line: LedgerLine) -> list[Difference]:
    declaration = line.declaration
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != declaration.object.sha256:
        return [Difference(line.name, f"{declaration.object.key} is not the object of the ledger")]
    rows = pl.scan_parquet(path).select(pl.len()).collect().item()
    if rows != declaration.rows:
        return [Difference(line.name, f"Parquet has {rows} rows, the ledger {declaration.rows}")]
    return []


async def _check_period(database: Database, lake: Lake, line: LedgerLine) -> list[Difference]:
    declaration = line.declaration
    table = qualified(declaration.table_schema, declaration.table)
    async with database.connection() as connection:
        count = await connection.fetchval(
            f'SELECT count(*) FROM {table} WHERE "period_end" = $1',  # noqa: S608  # quoted name
            declaration.period_end,
        )
    if count != declaration.rows:
        said = f"the table has {count} rows, the ledger {declaration.rows}"
        return [Difference(line.name, said)]
    # Another id and digest, so that the loader compares again what it has loaded already.
    again = declaration.model_copy(update={"load_id": uuid4(), "content_digest": "0" * 64})
    trial = await try_load(again, lake=lake, database=database)
    if trial.inserted or trial.updated or trial.deleted:
        said = (
            f"the table is not its Parquet: {trial.inserted} rows are missing, "
            f"{trial.updated} differ, {trial.deleted} are too many"
        )
        return [Difference(line.name, said)]
    return []


async def _check_against_loads(
    database: Database, lines: Sequence[LedgerLine], paths: Sequence[Path]
) -> list[Difference]:
    declaration = lines[-1].declaration
    where = f"{declaration.table_schema}.{declaration.table}"
    async with database.connection() as connection:
        told = await connection.fetchval(
            "SELECT sum(inserted - removed) FROM quarry.load"
            " WHERE table_schema = $1 AND table_name = $2 AND outcome IN ('loaded', 'unchanged')",
            declaration.table_schema,
            declaration.table,
        )
        table = qualified(declaration.table_schema, declaration.table)
        count = await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608  # quoted name
        if count != told:
            return [Difference(where, f"the table has {count} rows, all loads together {told}")]
        transaction = connection.transaction()
        await transaction.start()
        try:
            scratch = await _load_again(connection, lines, paths)
            appended = [line.declaration.load_id for line in lines]
            compared = await compare_rows(
                connection,
                scratch,
                (declaration.table_schema, declaration.table),
                load_ids=appended if declaration.mode == "append" else None,
            )
        finally:
            await asyncio.shield(transaction.rollback())
    if compared.missing or compared.surplus:
        said = (
            f"the table is not what its loads make of it: {compared.missing} of their rows are not "
            f"in it, {compared.surplus} of its rows are not theirs"
        )
        return [Difference(where, said)]
    return []


async def _load_again(
    connection: Connection, lines: Sequence[LedgerLine], paths: Sequence[Path]
) -> tuple[str, str]:
    """Do the loads with the loader's own code into a table of a schema that will not stay."""
    schema = f"quarry_trial_{uuid4().hex[:12]}"
    for line, path in zip(lines, paths, strict=True):
        declaration = line.declaration
        again = declaration.model_copy(
            update={
                "load_id": uuid4(),
                "table_schema": schema,
                # The one load of a table that is replaced fills an empty one.
                "mode": "append" if declaration.mode == "replace" else declaration.mode,
            }
        )
        provenance = Provenance(declaration.load_id, line.run_id, "quarry reconcile")
        await load_parquet(connection, path, again, provenance, TRIAL_LIMITS)
        # What a load stages goes with its transaction; here all loads share one.
        await connection.execute("DISCARD TEMP")
    return schema, lines[-1].declaration.table

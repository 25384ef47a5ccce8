"""`merge`: rows are inserted or updated by key, and a late load never undoes a newer one."""

import asyncio
import hashlib
import tempfile
from pathlib import Path

from services.loader.arrival import STAGED, Arrival, Target, copy_into, stage
from services.loader.binary_copy import Into, copy_rows
from services.loader.differences import stage_differences
from services.loader.ledger import Loaded, NewerObject, newer_objects
from services.loader.parquet import ParquetRows
from services.loader.pieces import InPlace, Outline, in_place, outlined, remember
from services.loader.postgres import Connection
from services.loader.sql import listed, quoted
from shared.errors import PermanentError
from shared.leftovers import folder_prefix

_SPOKEN_FOR = "quarry_newer_keys"


class NewerLoadUnreadable(PermanentError):
    """A late load cannot tell which rows a newer load has settled."""


async def merge(connection: Connection, target: Target, arrival: Arrival) -> Loaded:
    """Insert rows with new keys and update those whose data differs.

    Raises:
        DuplicateKey: two rows of the file have one key.
        NewerLoadUnreadable: the load is late and the object of a newer one is gone.
    """
    rows, declaration = arrival.rows, arrival.declaration
    # Waited for in any case: a file is not read by two threads.
    outline = await asyncio.wrap_future(arrival.outline or outlined(rows, target.key))
    if not target.table.exists:
        # The key of the new table refuses what the file has twice.
        loaded = Loaded("loaded", rows.rows, inserted=await copy_into(connection, target, arrival))
        await remember(connection, declaration.load_id, target.table, outline.digests)
        return loaded
    known = await in_place(connection, target.table)
    loaded, late = Loaded("loaded", rows.rows), False
    if await _stage(connection, target, arrival, outline, known):
        late = await _leave_to_newer(connection, target, arrival)
        loaded = await _merge_staged(connection, target, arrival)
    if not late:
        digests = outline.to_remember(known, changed=loaded.updated > 0)
        await remember(connection, declaration.load_id, target.table, digests)
    return loaded


async def _stage(
    connection: Connection, target: Target, arrival: Arrival, outline: Outline, known: InPlace
) -> int:
    """Stage what the table may lack and return how many rows."""
    lacking = outline.lacking(known)
    if not lacking:
        return 0
    if outline.ranges is not None:
        return await stage_differences(connection, target, arrival, lacking, outline.ranges)
    await stage(connection, target, arrival)
    return arrival.rows.rows


async def _merge_staged(connection: Connection, target: Target, arrival: Arrival) -> Loaded:
    """Insert and update in one pass.

    Needs PostgreSQL 17, the first whose MERGE tells what it did.
    """
    names = tuple(target.types)
    changed = [name for name in names if name not in target.key]
    sets = ", ".join(f"{quoted(name)} = s.{quoted(name)}" for name in changed)
    row = await connection.fetchrow(
        f"WITH done AS (MERGE INTO {target.table.sql} AS t USING {STAGED} AS s"  # noqa: S608  # quoted names
        f" ON {target.same_key} WHEN MATCHED AND {target.differs} THEN UPDATE SET {sets}"
        f" WHEN NOT MATCHED THEN INSERT ({listed(names)}) VALUES ({listed(names, 's.')})"
        " RETURNING merge_action() AS action)"
        " SELECT count(*) FILTER (WHERE action = 'INSERT'),"
        " count(*) FILTER (WHERE action = 'UPDATE') FROM done"
    )
    inserted, updated = row or (0, 0)
    return Loaded("loaded", arrival.rows.rows, inserted=inserted, updated=updated)


async def _leave_to_newer(connection: Connection, target: Target, arrival: Arrival) -> bool:
    """Drop staged rows whose key a newer load has already brought; say whether there is one.

    The table alone does not tell: a newer load leaves rows that did not change as they are. So
    the keys are read again from the newer loads' own objects.

    Raises:
        NewerLoadUnreadable: such an object is gone or has other bytes.
    """
    newer = await newer_objects(connection, arrival.declaration)
    if not newer:
        return False
    columns = ", ".join(f"{quoted(name)} {target.types[name]}" for name in target.key)
    await connection.execute(f"CREATE TEMPORARY TABLE {_SPOKEN_FOR} ({columns}) ON COMMIT DROP")
    for item in newer:
        await _copy_keys(connection, target, arrival, item)
    matches = " AND ".join(f"s.{quoted(name)} = k.{quoted(name)}" for name in target.key)
    await connection.execute(f"DELETE FROM {STAGED} AS s USING {_SPOKEN_FOR} AS k WHERE {matches}")  # noqa: S608  # quoted names
    return True


async def _copy_keys(
    connection: Connection, target: Target, arrival: Arrival, newer: NewerObject
) -> None:
    where = f"{arrival.declaration.table_schema}.{arrival.declaration.table}"
    if arrival.fetch is None:
        raise NewerLoadUnreadable(f"{where}: {newer.key} is newer and there is no lake to read")
    with tempfile.TemporaryDirectory(prefix=folder_prefix("newer")) as folder:
        path = Path(folder) / "rows.parquet"
        try:
            await arrival.fetch(newer.key, path)
        except PermanentError as error:
            raise NewerLoadUnreadable(f"{where}: a newer load's object: {error}") from error
        if hashlib.sha256(path.read_bytes()).hexdigest() != newer.sha256:
            raise NewerLoadUnreadable(f"{where}: {newer.key} is not what the newer load read")
        rows = ParquetRows(path, newer.key)
        try:
            into = Into({name: target.types[name] for name in target.key}, _SPOKEN_FOR)
            await copy_rows(connection, rows, into, None)
        finally:
            rows.close()

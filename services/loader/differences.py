"""A file whose keys ascend is compared part by part, and only what differs is staged.

A part fits the session's own memory and meets a narrow range of the table's index; the whole file
at once is written to disk, indexed and joined through memory that no longer fits a cache.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any
from uuid import UUID

from services.loader.arrival import COMPARISON, STAGED, Arrival, Target, choose_join, rows_touched
from services.loader.binary_copy import FitPart, Into, fit_parts
from services.loader.parquet import RESERVED, Piece
from services.loader.pieces import KeyRange
from services.loader.postgres import Connection
from services.loader.read_back import ReadBack
from services.loader.sql import listed, quoted

_PART = "quarry_part"
# Where a range of the table has so many rows for each of the part, they are looked up one by one.
_SPARSE = 8
# Each part and each range of the table are of one size and in the order of the key's index.
_NOT_HERE = ("enable_nestloop", "enable_mergejoin", "enable_bitmapscan")


async def stage_differences(
    connection: Connection,
    target: Target,
    arrival: Arrival,
    pieces: Sequence[Piece],
    ranges: Sequence[KeyRange],
) -> int:
    """Bring rows of `pieces` into `STAGED` that the table lacks or has with other data.

    `ranges` are those of all parts of the file. Returns how many rows were brought.
    """
    rows = arrival.rows
    names = tuple(name for name in target.types if name not in RESERVED)
    types = {name: target.types[name] for name in names}
    into = Into(types, _PART)
    columns = [column for column in rows.columns if column.name in types]
    read_back = ReadBack(connection, target, tuple(column.name for column in columns), ranges)
    sent = staged = 0

    def ready(part: FitPart) -> None:
        if not read_back.worthwhile:
            part.make_ready()

    parts = (part for piece in pieces for part in rows.parts(piece))
    async with aclosing(fit_parts(parts, columns, types, ready)) as fit:
        for number in (number for piece in pieces for number in piece.parts):
            coming = asyncio.create_task(anext(fit))
            try:
                if await read_back.finds(number, coming):
                    continue
                part = await coming
            finally:
                coming.cancel()
            if not sent:
                await _prepare(connection, target, names)
            await part.send(connection, into)
            staged += await _sift(connection, target, part.rows, arrival.declaration.load_id)
            sent += 1
    if staged:
        settings = (*_NOT_HERE, *read_back.settings)
        await connection.execute("".join(f"SET LOCAL {setting} = on;" for setting in settings))
        await choose_join(connection, target, staged)
    return staged


async def _prepare(connection: Connection, target: Target, names: tuple[str, ...]) -> None:
    await connection.execute(
        f"CREATE TEMPORARY TABLE {STAGED} (LIKE {target.table.sql} INCLUDING DEFAULTS)"  # noqa: S608  # quoted names
        " ON COMMIT DROP;"
        f" CREATE TEMPORARY TABLE {_PART} ON COMMIT DROP AS"
        f" SELECT {listed(names)} FROM {target.table.sql} LIMIT 0; {COMPARISON};"
        + "".join(f" SET LOCAL {setting} = off;" for setting in _NOT_HERE)
    )


async def _sift(connection: Connection, target: Target, rows: int, load_id: UUID) -> int:
    """Move what differs of `_PART`, which has so many rows, into `STAGED`; return how many."""
    ends = await _ends(connection, target.key)
    own = f"FROM {target.table.sql} AS t WHERE"
    many = _SPARSE * rows
    at_most = f"SELECT count(*) FROM (SELECT {own} {_between(target, 1)} LIMIT {many:d}) AS t"  # noqa: S608  # quoted names
    if await connection.fetchval(at_most, *ends) < many:
        join = f"LEFT JOIN (SELECT * {own} {_between(target, 2)}) AS t ON {target.same_key}"
    else:
        # Its limit keeps the planner from reading the whole range, of which it may know nothing.
        join = f"LEFT JOIN LATERAL (SELECT * {own} {target.same_key} LIMIT 1) AS t ON true"
        ends = ()
    names = tuple(name for name in target.types if name not in RESERVED)
    answer = await connection.execute(
        f"INSERT INTO {STAGED} ({listed(names)}, load_id) SELECT {listed(names, 's.')}, $1"  # noqa: S608  # quoted names
        f" FROM {_PART} AS s {join}"
        f" WHERE t.{quoted(target.key[0])} IS NULL OR {target.differs}",
        *(load_id, *ends),
    )
    await connection.execute(f"TRUNCATE {_PART}")
    return rows_touched(answer)


def _between(target: Target, start: int) -> str:
    """SQL: row `t` is between the first and the last key, parameters from number `start` on."""
    kinds = [target.types[name] for name in target.key]
    places = [f"${number}::{kind}" for number, kind in enumerate(2 * kinds, start)]
    first, last = ", ".join(places[: len(kinds)]), ", ".join(places[len(kinds) :])
    key = listed(target.key, "t.")
    return f"ROW({key}) >= ROW({first}) AND ROW({key}) <= ROW({last})"


async def _ends(connection: Connection, key: tuple[str, ...]) -> tuple[Any, ...]:
    """Return the first key and the last of the part: text sorts as the server's collation says."""
    ends = ", ".join(
        f"(SELECT ROW({listed(key)}) FROM {_PART} ORDER BY {order} LIMIT 1)"  # noqa: S608  # quoted names
        for order in (listed(key), ", ".join(f"{quoted(name)} DESC" for name in key))
    )
    [row] = await connection.fetch(f"SELECT {ends}")
    return (*row[0], *row[1])

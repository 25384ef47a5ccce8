"""A file whose keys ascend is compared piece by piece, and only what differs is staged.

A piece fits the session's own memory and meets a narrow range of the table's index; the whole file
at once is written to disk, indexed and joined through memory that no longer fits a cache.
"""

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from services.loader.arrival import COMPARISON, STAGED, Arrival, Target, choose_join, rows_touched
from services.loader.binary_copy import FitPiece, Into, fit_pieces
from services.loader.parquet import RESERVED
from services.loader.postgres import Connection
from services.loader.read_back import ReadBack
from services.loader.sql import listed, quoted

_PIECE = "quarry_piece"


async def stage_differences(
    connection: Connection, target: Target, arrival: Arrival, known: Mapping[int, int]
) -> int:
    """Bring rows into `STAGED` that the table lacks or has with other data; return how many.

    `known` pieces, as number of rows by first row, are in the table already.
    """
    names = tuple(name for name in target.types if name not in RESERVED)
    sift = _sift(target, names)
    types = {name: target.types[name] for name in names}
    into = Into(types, _PIECE)
    of_file = tuple(column.name for column in arrival.rows.columns if column.name in types)
    read_back = ReadBack(connection, target, of_file)
    sent = staged = 0

    def ready(piece: FitPiece) -> None:
        piece.binary(read_back.columns if read_back.worthwhile else of_file)

    async with aclosing(fit_pieces(arrival.rows, types, known, ready)) as pieces:
        async for piece in pieces:
            if not read_back.worthwhile:
                read_back.pass_over()
            elif await read_back.finds(piece):
                continue
            if not sent:
                await _prepare(connection, target, names)
            await piece.send(connection, into)
            first, last = await _range(connection, target.key)
            answer = await connection.execute(sift, arrival.declaration.load_id, *first, *last)
            await connection.execute(f"TRUNCATE {_PIECE}")
            staged += rows_touched(answer)
            sent += 1
    if sent:
        await connection.execute("SET LOCAL enable_nestloop = on; SET LOCAL enable_mergejoin = on")
    if staged:
        await choose_join(connection, target, staged)
    return staged


async def _prepare(connection: Connection, target: Target, names: tuple[str, ...]) -> None:
    await connection.execute(
        f"CREATE TEMPORARY TABLE {STAGED} (LIKE {target.table.sql} INCLUDING DEFAULTS)"  # noqa: S608  # quoted names
        " ON COMMIT DROP;"
        f" CREATE TEMPORARY TABLE {_PIECE} ON COMMIT DROP AS"
        f" SELECT {listed(names)} FROM {target.table.sql} LIMIT 0; {COMPARISON};"
        # Each piece and each range of the table are of one size and in one order.
        " SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off"
    )


def _sift(target: Target, names: tuple[str, ...]) -> str:
    """SQL with the parameters: load id, first key, last key of the piece."""
    width = len(target.key)
    places = [f"${number}::{target.types[name]}" for number, name in _numbered(target.key, 2)]
    places += [
        f"${number}::{target.types[name]}" for number, name in _numbered(target.key, 2 + width)
    ]
    key = listed(target.key)
    absent = f"t.{quoted(target.key[0])} IS NULL"
    return (
        f"INSERT INTO {STAGED} ({listed(names)}, load_id) SELECT {listed(names, 's.')}, $1"  # noqa: S608  # quoted names
        f" FROM {_PIECE} AS s LEFT JOIN (SELECT * FROM {target.table.sql}"
        f" WHERE ROW({key}) >= ROW({', '.join(places[:width])})"
        f" AND ROW({key}) <= ROW({', '.join(places[width:])})) AS t ON {target.same_key}"
        f" WHERE {absent} OR {target.differs}"
    )


def _numbered(names: tuple[str, ...], start: int) -> list[tuple[int, str]]:
    return list(enumerate(names, start))


async def _range(connection: Connection, key: tuple[str, ...]) -> tuple[tuple[Any, ...], ...]:
    """Ask the server for the ends of the piece: text sorts as its own collation says."""
    ends = ", ".join(
        f"(SELECT ROW({listed(key)}) FROM {_PIECE} ORDER BY {order} LIMIT 1)"  # noqa: S608  # quoted names
        for order in (listed(key), ", ".join(f"{quoted(name)} DESC" for name in key))
    )
    [row] = await connection.fetch(f"SELECT {ends}")
    return tuple(row[0]), tuple(row[1])

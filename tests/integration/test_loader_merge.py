"""merge in pieces: what is there already is not sent again, and what only seems so is."""

import random
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest

from services.loader.binary_copy import Into, fit_pieces
from services.loader.ledger import Loaded
from services.loader.parquet import ParquetRows
from services.loader.pieces import ascending_pieces
from services.loader.postgres import Connection
from tests.loads import FIRST, bring, write

# With 400 columns a piece has 512 rows, the least there is.
_FILLERS = 396
_PIECE = 512


def totals(values: dict[int, int], *, ascending: bool = True) -> pa.Table:
    """Rows of id and total, wide enough for several pieces."""
    ids = sorted(values)
    if not ascending:
        ids = ids[::-1]
    nulls = pa.nulls(len(ids), pa.int64())
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "total": pa.array([values[one] for one in ids], pa.int64()),
            **{f"filler{number}": nulls for number in range(_FILLERS)},
            "filename": pa.array(["totals.csv"] * len(ids)),
            "row_number": pa.array(range(1, len(ids) + 1), pa.int64()),
        }
    )


async def merged(
    connection: Connection,
    folder: Path,
    values: dict[int, int],
    day: int,
    *,
    ascending: bool = True,
) -> Loaded:
    """Load totals; the digest is of no source, so that only the rows themselves can be equal."""
    return await bring(
        connection,
        folder / f"day{day}",
        totals(values, ascending=ascending),
        mode="merge",
        key=("id",),
        name="totals",
        period=None,
        as_of=FIRST + timedelta(days=day),
        digest=uuid4().hex * 2,
    )


async def stored(connection: Connection) -> dict[int, int]:
    rows = await connection.fetch("SELECT id, total FROM call_reports.totals")
    assert len(rows) == len({row["id"] for row in rows})
    return {row["id"]: row["total"] for row in rows}


async def test_rows_that_did_not_change_are_not_touched(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    versions = "SELECT array_agg(xmin::text ORDER BY id) FROM call_reports.totals"
    values = dict.fromkeys(range(3 * _PIECE), 1)
    await merged(ledger_connection, tmp_path, values, 0)
    before = await ledger_connection.fetchval(versions)

    loaded = await merged(ledger_connection, tmp_path, values, 1)

    assert (loaded.inserted, loaded.updated) == (0, 0)
    assert await ledger_connection.fetchval(versions) == before


async def test_rows_behind_known_pieces_are_brought(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    values = dict.fromkeys(range(2 * _PIECE), 1)
    await merged(ledger_connection, tmp_path, values, 0)

    loaded = await merged(ledger_connection, tmp_path, values | {5000: 5, 6000: 6}, 1)

    assert (loaded.inserted, loaded.updated) == (2, 0)


async def test_a_row_that_another_load_has_changed_since_is_set_back(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    values = dict.fromkeys(range(2 * _PIECE), 1)
    await merged(ledger_connection, tmp_path, values, 0)
    await merged(ledger_connection, tmp_path, {7: 70}, 1)

    loaded = await merged(ledger_connection, tmp_path, values, 2)

    assert loaded.updated == 1
    assert await stored(ledger_connection) == values


async def test_a_table_that_was_truncated_by_hand_is_filled_again(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    values = dict.fromkeys(range(2 * _PIECE), 1)
    await merged(ledger_connection, tmp_path, values, 0)
    await ledger_connection.execute("TRUNCATE call_reports.totals")

    await merged(ledger_connection, tmp_path, values, 1)

    assert await stored(ledger_connection) == values


@pytest.mark.parametrize("seed", range(4))
async def test_any_sequence_of_merges_leaves_the_last_total_of_each_id(
    ledger_connection: Connection, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311  # reproducible rows, no secret
    expected: dict[int, int] = {}
    values: dict[int, int] = {}
    for day in range(8):
        kind = dice.choice(("same", "grown", "some changed", "another part"))
        if kind == "another part" or not values:
            start = dice.randrange(2 * _PIECE)
            values = {one: dice.randrange(3) for one in range(start, start + dice.randrange(2500))}
        elif kind == "grown":
            values = values | {max(values) + 1 + one: 1 for one in range(dice.randrange(1200))}
        elif kind == "some changed":
            values = values | dict.fromkeys(dice.sample([*values], min(3, len(values))), 9)
        expected |= values
        if dice.random() < 0.5:  # so that no piece is known
            await ledger_connection.execute("TRUNCATE quarry.piece")

        await merged(ledger_connection, tmp_path, values, day, ascending=dice.random() < 0.8)

        assert await stored(ledger_connection) == expected


async def test_a_known_piece_is_left_out_and_one_of_another_size_is_sent(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    write(tmp_path / "rows", totals(dict.fromkeys(range(2 * _PIECE + 1), 1)))
    await ledger_connection.execute("CREATE TEMPORARY TABLE arrived (id bigint)")
    rows = ParquetRows(tmp_path / "rows", "rows")
    known = {0: _PIECE, _PIECE: _PIECE - 1}
    into = Into({"id": "bigint"}, "arrived")

    async with aclosing(fit_pieces(rows, into.types, known, lambda piece: piece.columns)) as pieces:
        async for piece in pieces:
            await piece.send(ledger_connection, into)

    rows.close()
    arrived = await ledger_connection.fetchrow("SELECT count(*), min(id) FROM arrived")
    assert tuple(arrived or ()) == (_PIECE + 1, _PIECE)


@pytest.mark.parametrize(
    ("ids", "pieces"), [([1, 2, 5], 1), ([1, 2, 2], 0), ([2, 1, 3], 0), ([1, None, 3], 0)]
)
def test_only_keys_that_ascend_one_by_one_make_pieces(
    tmp_path: Path, ids: list[int | None], pieces: int
) -> None:
    write(tmp_path / "rows", pa.table({"id": pa.array(ids, pa.int64())}))
    rows = ParquetRows(tmp_path / "rows", "rows")

    assert len(ascending_pieces(rows, ("id",))) == pieces

    rows.close()


def test_the_second_column_of_a_key_orders_rows_with_the_same_first(tmp_path: Path) -> None:
    columns = {"year": [2012, 2013, 2013], "bank": ["b", "a", "c"]}
    write(tmp_path / "rows", pa.table(columns))
    rows = ParquetRows(tmp_path / "rows", "rows")

    assert len(ascending_pieces(rows, ("year", "bank"))) == 1
    assert ascending_pieces(rows, ("bank", "year")) == ()

    rows.close()

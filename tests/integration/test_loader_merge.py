"""merge in pieces: what is there already is not sent again, and what only seems so is."""

import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types
import pytest

from services.loader.exactly_once import load_parquet
from services.loader.ledger import Loaded
from services.loader.migrate import read_table
from services.loader.pieces import InPlace, in_place
from services.loader.postgres import Connection, DuplicateKey, RowRefused
from tests.loads import FIRST, LIMITS, PROVENANCE, bring, piece_digests, write

# With 1,024 columns a group of 512 rows is a piece.
_FILLERS = 1_020
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
    return await bring_totals(connection, folder, totals(values, ascending=ascending), day)


async def bring_totals(connection: Connection, folder: Path, table: pa.Table, day: int) -> Loaded:
    """Load totals; the digest is of no source, so that only the rows themselves can be equal."""
    return await bring(
        connection,
        folder / f"day{day}",
        table,
        mode="merge",
        key=("id",),
        name="totals",
        period=None,
        as_of=FIRST + timedelta(days=day),
        digest=uuid4().hex * 2,
        row_group_size=_PIECE,
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


_WORDS = pa.array(["a", "b", "c"])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (_WORDS, pa.array(["a", "b", "x"])),
        (_WORDS.dictionary_encode(), pa.array(["a", "b", "x"]).dictionary_encode()),
        (pa.array([["a"], ["b"], None]), pa.array([["a"], ["x"], None])),
        (pa.array([{"in": "a"}] * 3), pa.array([{"in": "a"}, {"in": "x"}, {"in": "a"}])),
        (pa.array([1, None, 3]), pa.array([1, 2, 3])),
        (pa.array([1, None, 3]), pa.array([None, 1, 3])),
        (pa.array([True, None, False]), pa.array([True, None, True])),
    ],
)
async def test_a_changed_value_of_any_type_is_brought(
    ledger_connection: Connection, tmp_path: Path, first: pa.Array, second: pa.Array
) -> None:
    ids = pa.array([1, 2, 3])
    await bring_totals(ledger_connection, tmp_path, pa.table({"id": ids, "value": first}), 0)

    again = pa.table({"id": ids, "value": second})
    loaded = await bring_totals(ledger_connection, tmp_path, again, 1)

    assert loaded.updated >= 1
    rows = await ledger_connection.fetch("SELECT value::text FROM call_reports.totals ORDER BY id")
    fresh = await fresh_rows(ledger_connection, tmp_path, again)
    assert [row[0] for row in rows] == fresh


async def fresh_rows(connection: Connection, folder: Path, table: pa.Table) -> list[Any]:
    """Return the values as text as a table of their own has them."""
    path = folder / "fresh"
    await bring(connection, path, table, mode="merge", key=("id",), name="fresh", period=None)
    rows = await connection.fetch("SELECT value::text FROM call_reports.fresh ORDER BY id")
    return [row[0] for row in rows]


@pytest.mark.parametrize("seed", range(4))
async def test_any_sequence_of_merges_leaves_the_last_total_of_each_id(
    ledger_connection: Connection, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311  # reproducible rows, no secret
    expected: dict[int, int] = {}
    values: dict[int, int] = {}
    for day in range(8):
        kind = dice.choice(("same", "grown", "some changed", "some only", "another part"))
        if kind == "another part" or not values:
            start = dice.randrange(2 * _PIECE)
            values = {one: dice.randrange(3) for one in range(start, start + dice.randrange(2500))}
        elif kind == "grown":
            values = values | {max(values) + 1 + one: 1 for one in range(dice.randrange(1200))}
        elif kind == "some changed":
            values = values | dict.fromkeys(dice.sample([*values], min(3, len(values))), 9)
        elif kind == "some only":
            values = {one: dice.randrange(3) for one in dice.sample([*values], len(values) // 20)}
        expected |= values
        if dice.random() < 0.5:  # so that no piece is known
            await ledger_connection.execute("TRUNCATE quarry.piece")

        await merged(ledger_connection, tmp_path, values, day, ascending=dice.random() < 0.8)

        assert await stored(ledger_connection) == expected


async def test_rows_scattered_over_the_table_are_compared_one_by_one(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    values = dict.fromkeys(range(0, 6 * _PIECE, 2), 1)
    await merged(ledger_connection, tmp_path, values, 0)
    scattered = {0: 1, 701: 1, 1402: 2, 2103: 1, 3000: 1}  # two are new, one is changed

    loaded = await merged(ledger_connection, tmp_path, scattered, 1)

    assert (loaded.inserted, loaded.updated) == (2, 1)
    assert await stored(ledger_connection) == values | scattered


async def test_rows_that_are_only_added_leave_pieces_known(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await merged(ledger_connection, tmp_path, dict.fromkeys(range(2 * _PIECE), 1), 0)
    brought = await known(ledger_connection)

    await merged(ledger_connection, tmp_path, dict.fromkeys(range(5000, 5100), 1), 1)

    assert len(brought.digests) == 2
    assert brought.digests < (await known(ledger_connection)).digests


async def test_a_changed_row_makes_the_pieces_of_earlier_loads_unknown(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await merged(ledger_connection, tmp_path, dict.fromkeys(range(2 * _PIECE), 1), 0)
    brought = await known(ledger_connection)

    await merged(ledger_connection, tmp_path, {7: 70}, 1)

    assert not brought.digests & (await known(ledger_connection)).digests


async def test_after_a_change_all_pieces_of_its_file_are_known(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    values = dict.fromkeys(range(2 * _PIECE), 1)
    await merged(ledger_connection, tmp_path, values, 0)

    await merged(ledger_connection, tmp_path, values | {7: 70}, 1)

    assert len((await known(ledger_connection)).digests) == 2


async def test_a_file_in_no_order_is_known_again_as_a_whole(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    table = totals(dict.fromkeys(range(3 * _PIECE), 1), ascending=False)
    await bring_totals(ledger_connection, tmp_path, table, 0)

    digests = piece_digests(tmp_path / "again", table, row_group_size=_PIECE)

    assert tuple(digests) in (await known(ledger_connection)).files


async def test_known_pieces_that_a_file_has_twice_are_refused(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    once = totals(dict.fromkeys(range(_PIECE), 1))
    await bring_totals(ledger_connection, tmp_path, once, 0)

    with pytest.raises(DuplicateKey, match="id 0 in rows 1, 513"):
        await bring_totals(ledger_connection, tmp_path, pa.concat_tables([once, once]), 1)


async def known(connection: Connection) -> InPlace:
    """Return what the ledger knows of `call_reports.totals`."""
    return await in_place(connection, await read_table(connection, "call_reports", "totals"))


async def test_equal_rows_of_another_file_are_brought_where_the_file_is_part_of_the_key(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    for day, name in enumerate(("a.csv", "b.csv")):
        await bring(
            ledger_connection,
            tmp_path / name,
            pa.table({"filename": [name] * 2, "row_number": [1, 2], "total": [5, 6]}),
            mode="merge",
            key=("filename", "row_number"),
            name="totals",
            period=None,
            as_of=FIRST + timedelta(days=day),
            digest=uuid4().hex * 2,
        )

    assert await ledger_connection.fetchval("SELECT count(*) FROM call_reports.totals") == 4


async def test_a_value_that_does_not_fit_is_named_while_rows_are_compared(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    days = pa.array([date(2013, 3, 31), date(2013, 6, 30)])
    await bring_totals(ledger_connection, tmp_path, pa.table({"id": [1, 2], "day": days}), 0)

    wrong = pa.array([15795, 3_000_000], pa.int32()).cast(pa.date32())
    with pytest.raises(RowRefused, match="column day in row 2"):
        await bring_totals(ledger_connection, tmp_path, pa.table({"id": [1, 2], "day": wrong}), 1)

    stored = await ledger_connection.fetch("SELECT day FROM call_reports.totals ORDER BY id")
    assert [row["day"] for row in stored] == days.to_pylist()


async def test_rows_of_known_pieces_are_not_even_read(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    values = dict.fromkeys(range(2 * _PIECE), 1)
    await merged(ledger_connection, tmp_path, values, 0)
    path = tmp_path / "spoilt"
    declaration = write(
        path,
        totals(values | {5000: 5}),
        mode="merge",
        key=("id",),
        name="totals",
        period=None,
        as_of=FIRST + timedelta(days=1),
        digest=uuid4().hex * 2,
        row_group_size=_PIECE,
    )
    spoil_file_names(path, group=0)

    loaded = await load_parquet(ledger_connection, path, declaration, PROVENANCE, LIMITS)

    assert loaded.inserted == 1


def spoil_file_names(path: Path, group: int) -> None:
    """Make a group unreadable where its digest does not look: at where its rows came from."""
    metadata = pq.read_metadata(path).row_group(group)
    chunks = [metadata.column(place) for place in range(metadata.num_columns)]
    [names] = [chunk for chunk in chunks if chunk.path_in_schema == "filename"]
    with path.open("r+b") as file:
        file.seek(names.dictionary_page_offset or names.data_page_offset)
        file.write(b"\xff" * names.total_compressed_size)
    with pytest.raises(OSError, match=r"deserialize|orrupt"):
        pq.ParquetFile(path).read_row_group(group)

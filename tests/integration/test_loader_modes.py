"""append, merge and replace: what each makes of the rows that are there, and what readers see."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types
import pytest

from contracts import LoadMode
from services.loader.exactly_once import load_parquet
from services.loader.ledger import Loaded
from services.loader.merge import NewerLoadUnreadable
from services.loader.postgres import Connection, DuplicateKey
from shared.errors import TransientError
from tests.loads import FIRST, LIMITS, PROVENANCE, assets_in, bank_rows, bring, write

MODES: list[LoadMode] = ["append", "merge", "replace", "replace_period"]


async def bring_as(
    connection: Connection, path: Path, assets: dict[int, int | None], mode: LoadMode, day: int = 0
) -> Loaded:
    as_of = FIRST + timedelta(days=day)
    return await bring(connection, path, bank_rows(assets), mode=mode, as_of=as_of)


async def test_append_adds_rows_even_when_they_are_there_already(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await bring_as(ledger_connection, tmp_path / "a", {1: 10}, "append")
    await bring_as(ledger_connection, tmp_path / "b", {1: 10}, "append", day=1)

    assert await ledger_connection.fetchval("SELECT count(*) FROM call_reports.rc") == 2


async def test_merge_inserts_new_rows_updates_changed_ones_and_skips_the_others(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await bring_as(ledger_connection, tmp_path / "a", {1: 10, 2: 20, 3: 30}, "merge")

    loaded = await bring_as(ledger_connection, tmp_path / "b", {2: 22, 3: 30, 4: 40}, "merge", 1)

    assert (loaded.inserted, loaded.updated, loaded.removed) == (1, 1, 0)
    assert await assets_in(ledger_connection) == {1: 10, 2: 22, 3: 30, 4: 40}


async def test_merge_refuses_a_key_that_a_load_has_twice_and_names_the_rows(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await bring_as(ledger_connection, tmp_path / "a", {1: 10}, "merge")
    twice = pa.concat_tables([bank_rows({1: 10, 2: 20}), bank_rows({1: 11})])

    with pytest.raises(DuplicateKey, match="idrssd 1, period_end 2013-03-31 in rows 1, 3"):
        await bring(ledger_connection, tmp_path / "b", twice, mode="merge")

    assert await assets_in(ledger_connection) == {1: 10}


async def merge_late(connection: Connection, folder: Path, *, keep_objects: bool) -> Loaded:
    """Three versions, the middle one last: the newest saw bank 1 unchanged and not bank 3."""

    async def fetch(key: str, path: Path) -> None:
        if not keep_objects:
            raise NewerLoadUnreadable(f"{key} is gone")
        await asyncio.to_thread(
            path.write_bytes, (folder / key.removeprefix("clean/")).read_bytes()
        )

    await bring_as(connection, folder / "first", {1: 10, 2: 20, 3: 30}, "merge")
    await bring_as(connection, folder / "newest", {1: 10, 2: 22}, "merge", 10)
    middle = bank_rows({1: 99, 2: 99, 3: 33, 4: 44})
    declared = write(folder / "middle", middle, mode="merge", as_of=FIRST + timedelta(days=5))
    return await load_parquet(
        connection, folder / "middle", declared, PROVENANCE, LIMITS, fetch=fetch
    )


async def test_a_late_merge_leaves_rows_alone_that_a_newer_load_has_confirmed_or_changed(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    loaded = await merge_late(ledger_connection, tmp_path, keep_objects=True)

    assert await assets_in(ledger_connection) == {1: 10, 2: 22, 3: 33, 4: 44}
    assert (loaded.inserted, loaded.updated) == (1, 1)


async def test_a_late_merge_is_refused_when_the_newer_load_cannot_be_read_again(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    with pytest.raises(NewerLoadUnreadable):
        await merge_late(ledger_connection, tmp_path, keep_objects=False)

    assert await assets_in(ledger_connection) == {1: 10, 2: 22, 3: 30}


async def test_replace_leaves_the_new_rows_only(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await bring_as(ledger_connection, tmp_path / "a", {1: 10, 2: 20}, "replace")

    loaded = await bring_as(ledger_connection, tmp_path / "b", {2: 22, 3: 30}, "replace", 1)

    assert (loaded.inserted, loaded.removed) == (2, 2)
    assert await assets_in(ledger_connection) == {2: 22, 3: 30}


async def test_replace_takes_new_and_widened_columns(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await bring_as(ledger_connection, tmp_path / "a", {1: 10}, "replace")
    wider = bank_rows({1: 10}).append_column("rcfd9999", pa.array([1.5]))
    wider = wider.set_column(2, "rcfd2170", pa.array(["much"]))

    await bring(
        ledger_connection, tmp_path / "b", wider, mode="replace", as_of=FIRST + timedelta(days=1)
    )

    row = await ledger_connection.fetchrow("SELECT rcfd2170, rcfd9999 FROM call_reports.rc")
    assert tuple(row or ()) == ("much", 1.5)


async def test_replace_keeps_grants_indexes_comments_and_dependent_views(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    reader = f"reader_{uuid4().hex}"
    await bring_as(ledger_connection, tmp_path / "a", {1: 10}, "replace")
    await ledger_connection.execute(
        f"CREATE ROLE {reader}; GRANT USAGE ON SCHEMA call_reports TO {reader}"
    )
    await ledger_connection.execute(
        f"GRANT SELECT ON call_reports.rc TO {reader};"
        "CREATE INDEX by_assets ON call_reports.rc (rcfd2170);"
        "COMMENT ON TABLE call_reports.rc IS 'balance sheet';"
    )
    await ledger_connection.execute(
        "CREATE VIEW total AS SELECT sum(rcfd2170)::int AS assets FROM call_reports.rc"
    )

    await bring_as(ledger_connection, tmp_path / "b", {1: 11, 2: 20}, "replace", 1)

    indexes = await ledger_connection.fetchval(
        "SELECT count(*) FROM pg_index i JOIN pg_inherits h ON h.inhrelid = i.indrelid"
        " WHERE h.inhparent = 'call_reports.rc'::regclass AND i.indisvalid"
    )
    comment = "SELECT obj_description('call_reports.rc'::regclass)"
    assert await ledger_connection.fetchval("SELECT assets FROM total") == 31
    assert await ledger_connection.fetchval(comment) == "balance sheet"
    assert indexes == 2
    await ledger_connection.execute(f"SET ROLE {reader}")
    assert await assets_in(ledger_connection) == {1: 11, 2: 20}
    await ledger_connection.execute(f"RESET ROLE; DROP OWNED BY {reader}; DROP ROLE {reader}")


async def test_replace_of_a_table_made_by_hand_empties_and_fills_it(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await bring_as(ledger_connection, tmp_path / "a", {1: 10}, "merge")

    loaded = await bring_as(ledger_connection, tmp_path / "b", {2: 20}, "replace", 1)

    assert (loaded.inserted, loaded.removed) == (1, 1)
    assert await assets_in(ledger_connection) == {2: 20}


async def test_a_reader_with_an_older_snapshot_never_finds_a_replaced_table_empty(
    ledger_connection: Connection, database_url: str, tmp_path: Path
) -> None:
    await bring_as(ledger_connection, tmp_path / "a", {1: 10}, "replace")
    reader = await asyncpg.connect(database_url)
    try:
        await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class")

        await bring_as(ledger_connection, tmp_path / "b", {2: 20}, "replace", 1)

        assert await assets_in(reader) == {2: 20}
    finally:
        await reader.close()


async def test_replace_waits_for_a_reader_no_longer_than_the_lock_timeout(
    ledger_connection: Connection, database_url: str, tmp_path: Path
) -> None:
    await bring_as(ledger_connection, tmp_path / "a", {1: 10}, "replace")
    path = tmp_path / "b"
    declared = write(path, bank_rows({2: 20}), mode="replace", as_of=FIRST + timedelta(days=1))
    limits = LIMITS.__class__(lock_seconds=0.2)
    reader = await asyncpg.connect(database_url)
    try:
        await reader.execute("BEGIN; SELECT count(*) FROM call_reports.rc")

        with pytest.raises(TransientError, match="lock timeout"):
            await load_parquet(ledger_connection, path, declared, PROVENANCE, limits)
    finally:
        await reader.close()
    assert await assets_in(ledger_connection) == {1: 10}


@asynccontextmanager
async def reading(url: str, query: str) -> AsyncIterator[Callable[[], Awaitable[set[Any]]]]:
    """Run `query` over and over on its own connection; calling ends it and tells its answers."""
    connection = await asyncpg.connect(url, statement_cache_size=0)
    seen: set[Any] = set()
    going = asyncio.Event()

    async def look() -> None:
        while not going.is_set():
            row = await connection.fetchrow(query)
            seen.add(tuple(row or ()))

    task = asyncio.create_task(look())

    async def finish() -> set[Any]:
        going.set()
        await task
        return seen

    try:
        yield finish
    finally:
        going.set()
        await task
        await connection.close()


@pytest.mark.parametrize("mode", MODES)
async def test_a_reader_sees_the_old_or_the_new_rows_and_nothing_between(
    ledger_connection: Connection, database_url: str, tmp_path: Path, mode: LoadMode
) -> None:
    banks = range(3000)
    await bring_as(ledger_connection, tmp_path / "a", dict.fromkeys(banks, 1), mode)
    query = "SELECT count(*), sum(rcfd2170)::bigint FROM call_reports.rc"
    before = tuple(await ledger_connection.fetchrow(query) or ())

    async with reading(database_url, query) as finish:
        for day in range(1, 4):
            await asyncio.sleep(0.02)
            value = day % 2 + 1
            await bring_as(
                ledger_connection, tmp_path / f"{day}", dict.fromkeys(banks, value), mode, day
            )
        seen = await finish()

    states = {before}
    rows, total = 3000, 3000
    for day in range(1, 4):
        added = 3000 * (day % 2 + 1)
        rows, total = (rows + 3000, total + added) if mode == "append" else (rows, added)
        states.add((rows, total))
    assert seen <= states
    assert before in seen


async def test_rows_read_back_from_a_parquet_of_many_row_groups_are_all_there(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    table = bank_rows({bank: bank for bank in range(1, 1001)})
    declared = write(tmp_path / "a", table, mode="append", row_group_size=7)

    loaded = await load_parquet(ledger_connection, tmp_path / "a", declared, PROVENANCE, LIMITS)

    assert pq.ParquetFile(tmp_path / "a").num_row_groups > 100
    assert loaded.inserted == 1000
    assert await ledger_connection.fetchval("SELECT sum(rcfd2170) FROM call_reports.rc") == 500500

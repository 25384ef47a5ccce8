"""Restated quarters: what changed is kept, and any past state can be asked for."""

import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # ships no types

from services.loader.postgres import Connection
from tests.loads import FIRST, bank_rows, bring


async def restate(
    connection: Connection, path: Path, table: pa.Table, day: int, **options: Any
) -> UUID:
    load_id = uuid4()
    as_of = FIRST + timedelta(days=day)
    await bring(connection, path, table, as_of=as_of, load_id=load_id, **options)
    return load_id


async def now(connection: Connection) -> datetime:
    moment: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return moment


async def contents(connection: Connection, source: str, *values: object) -> list[tuple[Any, ...]]:
    rows = await connection.fetch(f"SELECT * FROM {source} ORDER BY 2, 1", *values)  # noqa: S608  # names of this test
    return [tuple(row) for row in rows]


async def test_a_restated_value_is_kept_with_old_new_and_both_loads(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    first = await restate(ledger_connection, tmp_path / "a", bank_rows({37: 100, 242: 5}), 0)
    second = await restate(ledger_connection, tmp_path / "b", bank_rows({37: 101, 242: 5}), 1)

    rows = await ledger_connection.fetch(
        "SELECT table_name, period, key ->> 'idrssd', column_name, old::text, new::text,"
        " known_from, replaced_by, known_since < replaced_at FROM quarry.restated_value"
    )
    expected = ("rc", "2013Q1", "37", "rcfd2170", "100", "101", first, second, True)
    assert [tuple(row) for row in rows] == [expected]


async def test_banks_that_appear_or_vanish_in_a_restatement_are_kept_as_such(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await restate(ledger_connection, tmp_path / "a", bank_rows({1: 10, 2: 20}), 0)
    await restate(ledger_connection, tmp_path / "b", bank_rows({2: 20, 3: 30}), 1)

    rows = await ledger_connection.fetch(
        "SELECT kind, key ->> 'idrssd', old ->> 'rcfd2170' FROM quarry.restatement ORDER BY kind"
    )
    assert [tuple(row) for row in rows] == [("added", "3", None), ("removed", "1", "10")]


async def test_a_reload_that_changes_nothing_adds_nothing_to_the_history(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    rows = bank_rows({bank: bank for bank in range(500)})
    await restate(ledger_connection, tmp_path / "a", rows, 0, digest="0" * 64)

    await restate(ledger_connection, tmp_path / "b", rows, 1, digest="1" * 64)

    assert await ledger_connection.fetchval("SELECT count(*) FROM quarry.restatement") == 0


async def test_a_table_can_be_asked_as_it_was_known_at_any_moment(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    dice = random.Random(7)  # noqa: S311  # a reproducible test, no secret
    known: list[tuple[datetime, list[tuple[Any, ...]]]] = []
    for day in range(12):
        assets = {bank: dice.choice([None, 1, 2, 3]) for bank in range(6) if dice.random() < 0.7}
        period = dice.choice(["2013Q1", "2013Q2"])
        table = bank_rows(assets, period=period)
        await restate(ledger_connection, tmp_path / "x", table, day, period=period)
        state = await contents(ledger_connection, "call_reports.rc")
        known.append((await now(ledger_connection), state))

    for moment, state in known:
        assert await contents(ledger_connection, "call_reports.rc_as_of($1)", moment) == state


async def test_nothing_is_known_before_the_first_load(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    before = await now(ledger_connection)
    await restate(ledger_connection, tmp_path / "a", bank_rows({1: 10}), 0)

    assert await contents(ledger_connection, "call_reports.rc_as_of($1)", before) == []


async def test_the_past_survives_new_and_widened_columns(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await restate(ledger_connection, tmp_path / "a", bank_rows({1: 10}), 0)
    before = await now(ledger_connection)
    wider = bank_rows({1: 11})
    floats = pc.add(wider["rcfd2170"].cast(pa.float64()), 0.5)
    wider = wider.set_column(2, "rcfd2170", floats).append_column("rcfd9999", pa.array([7]))
    await restate(ledger_connection, tmp_path / "b", wider, 1)

    now_row = await ledger_connection.fetchrow("SELECT rcfd2170, rcfd9999 FROM call_reports.rc")
    past_row = await ledger_connection.fetchrow(
        "SELECT rcfd2170, rcfd9999 FROM call_reports.rc_as_of($1)", before
    )
    assert (tuple(now_row or ()), tuple(past_row or ())) == ((11.5, 7), (10.0, None))


async def test_the_past_survives_a_truth_value_that_became_a_number(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    def flagged(values: dict[int, Any]) -> pa.Table:
        return bank_rows(dict.fromkeys(values, 1)).append_column(
            "rcona001", pa.array(list(values.values()))
        )

    await restate(ledger_connection, tmp_path / "a", flagged({1: True, 2: False, 3: True}), 0)
    first = await now(ledger_connection)
    await restate(ledger_connection, tmp_path / "b", flagged({1: False, 2: False}), 1)
    second = await now(ledger_connection)
    await restate(ledger_connection, tmp_path / "c", flagged({1: 2.5, 2: 7.0}), 2)

    query = "SELECT idrssd, rcona001 FROM call_reports.rc_as_of($1) ORDER BY 1"
    known = [await ledger_connection.fetch(query, moment) for moment in (first, second)]
    assert [[tuple(row) for row in rows] for rows in known] == [
        [(1, 1.0), (2, 0.0), (3, 1.0)],
        [(1, 0.0), (2, 0.0)],
    ]

"""`replace_period`: a quarter of a table is the newest version of that quarter, once."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest

from services.loader.exactly_once import load_parquet
from services.loader.postgres import Connection, DuplicateKey
from shared.errors import InvalidRequest, RowsUnaccounted, SchemaMismatch
from tests.loads import FIRST, LIMITS, PROVENANCE, assets_in, bank_rows, bring, write


async def test_a_first_load_creates_the_table_with_its_rows(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    loaded = await bring(ledger_connection, tmp_path / "a", bank_rows({37: 100, 242: None}))

    assert (loaded.outcome, loaded.rows, loaded.inserted) == ("loaded", 2, 2)
    assert await assets_in(ledger_connection) == {37: 100, 242: None}


async def test_every_row_says_which_load_file_and_row_it_came_from(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    load_id = uuid4()
    await bring(ledger_connection, tmp_path / "a", bank_rows({37: 100}), load_id=load_id)

    row = await ledger_connection.fetchrow(
        "SELECT load_id, filename, row_number, load_update_ts <= clock_timestamp() AS past"
        " FROM call_reports.rc"
    )
    assert row is not None
    assert tuple(row) == (load_id, "rc.txt", 3, True)


async def test_the_same_message_twice_loads_once(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    load_id = uuid4()
    rows = bank_rows({37: 100})
    await bring(ledger_connection, tmp_path / "a", rows, load_id=load_id)

    again = await bring(ledger_connection, tmp_path / "a", rows, load_id=load_id)

    assert (again.outcome, again.inserted) == ("already_loaded", 1)
    assert await assets_in(ledger_connection) == {37: 100}


async def test_the_same_content_in_another_run_changes_nothing_and_is_recorded(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await bring(ledger_connection, tmp_path / "a", bank_rows({37: 100}))

    again = await bring(
        ledger_connection, tmp_path / "b", bank_rows({37: 100}), as_of=FIRST + timedelta(days=1)
    )

    outcomes = await ledger_connection.fetch("SELECT outcome FROM quarry.load ORDER BY as_of")
    assert again.outcome == "unchanged"
    assert [row["outcome"] for row in outcomes] == ["loaded", "unchanged"]


async def test_a_restated_quarter_takes_changed_new_and_vanished_banks(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await bring(ledger_connection, tmp_path / "a", bank_rows({1: 10, 2: 20, 3: 30}))

    restated = bank_rows({1: 10, 2: 22, 4: 40})
    loaded = await bring(ledger_connection, tmp_path / "b", restated, as_of=FIRST + timedelta(1))

    assert (loaded.inserted, loaded.updated, loaded.removed) == (1, 1, 1)
    assert await assets_in(ledger_connection) == {1: 10, 2: 22, 4: 40}


async def test_an_unchanged_bank_of_a_restated_quarter_keeps_the_load_that_brought_it(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    first = uuid4()
    await bring(ledger_connection, tmp_path / "a", bank_rows({1: 10, 2: 20}), load_id=first)

    await bring(
        ledger_connection, tmp_path / "b", bank_rows({1: 11, 2: 20}), as_of=FIRST + timedelta(1)
    )

    kept = await ledger_connection.fetch(
        "SELECT idrssd FROM call_reports.rc WHERE load_id = $1", first
    )
    assert [row["idrssd"] for row in kept] == [2]


async def test_other_quarters_stay_as_they_are(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await bring(ledger_connection, tmp_path / "a", bank_rows({1: 10}))
    later = bank_rows({1: 15}, period="2013Q2")
    await bring(ledger_connection, tmp_path / "b", later, period="2013Q2")

    await bring(
        ledger_connection, tmp_path / "c", bank_rows({1: 11}), as_of=FIRST + timedelta(days=1)
    )

    rows = await ledger_connection.fetch("SELECT rcfd2170 FROM call_reports.rc ORDER BY period_end")
    assert [row["rcfd2170"] for row in rows] == [11, 15]


async def test_a_late_older_version_of_a_quarter_is_recorded_and_not_applied(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    newer = FIRST + timedelta(days=30)
    await bring(ledger_connection, tmp_path / "a", bank_rows({1: 11}), as_of=newer)

    late = await bring(ledger_connection, tmp_path / "b", bank_rows({1: 10}), as_of=FIRST)

    assert late.outcome == "superseded"
    assert await assets_in(ledger_connection) == {1: 11}


async def test_a_failed_load_leaves_neither_rows_nor_ledger_entry(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    twice = pa.concat_tables([bank_rows({1: 10}), bank_rows({1: 11})])

    with pytest.raises(DuplicateKey, match="idrssd 1, period_end 2013-03-31 in rows 1, 2"):
        await bring(ledger_connection, tmp_path / "a", twice)

    assert await ledger_connection.fetchval("SELECT to_regclass('call_reports.rc')") is None
    assert await ledger_connection.fetchval("SELECT count(*) FROM quarry.load") == 0


async def test_a_row_of_another_quarter_is_refused_with_its_number(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    mixed = pa.concat_tables([bank_rows({1: 10, 2: 20}), bank_rows({3: 30}, period="2013Q2")])

    with pytest.raises(RowsUnaccounted, match="row 3 is of another period than 2013-03-31"):
        await bring(ledger_connection, tmp_path / "a", mixed)


async def test_fewer_rows_in_the_file_than_declared_are_refused(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    declared = write(tmp_path / "a", bank_rows({1: 10}))

    with pytest.raises(RowsUnaccounted, match="has 1 rows, its message declares 2"):
        await load_parquet(
            ledger_connection,
            tmp_path / "a",
            declared.model_copy(update={"rows": 2}),
            PROVENANCE,
            LIMITS,
        )


async def test_other_columns_than_declared_are_refused_with_the_columns_shown(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    declared = write(tmp_path / "a", bank_rows({1: 10}))
    changed = declared.model_copy(update={"schema_fingerprint": "0" * 64})

    with pytest.raises(SchemaMismatch, match="rcfd2170 int64"):
        await load_parquet(ledger_connection, tmp_path / "a", changed, PROVENANCE, LIMITS)


async def test_a_quarterly_load_without_a_period_is_refused(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    declared = write(tmp_path / "a", bank_rows({1: 10}), period=None)

    with pytest.raises(InvalidRequest, match="needs `period_end`"):
        await load_parquet(ledger_connection, tmp_path / "a", declared, PROVENANCE, LIMITS)


async def test_a_role_that_may_not_migrate_says_what_has_to_be_run(
    ledger_connection: Connection, tmp_path: Path
) -> None:
    await ledger_connection.execute("CREATE SCHEMA call_reports")
    declared = write(tmp_path / "a", bank_rows({1: 10}))

    with pytest.raises(SchemaMismatch, match=r'CREATE TABLE "call_reports"\."rc"'):
        await load_parquet(
            ledger_connection,
            tmp_path / "a",
            declared,
            PROVENANCE,
            replace(LIMITS, may_migrate=False),
        )

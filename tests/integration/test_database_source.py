"""New rows of a real PostgreSQL, whatever its transactions do meanwhile."""

import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from contracts import Manifest, Packet
from contracts.packet_record import PacketRecord, packet_record_key
from services.collector.sources.database import SourceRefused
from services.collector.sources.row_versions import SourceRestored
from services.loader.postgres import Connection
from shared.errors import SourceUnavailable, TransientError
from tests.packets import Polled


@pytest.fixture
async def source(database_url: str) -> AsyncIterator[Connection]:
    """A connection to a database with the table `item` and the empty table `other`."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "CREATE TABLE item (item_id int PRIMARY KEY, name text, price numeric,"
        " created_at timestamp NOT NULL DEFAULT now());"
        "CREATE TABLE other (other_id int PRIMARY KEY)"
    )
    yield connection
    await connection.close()


@pytest.fixture
def polled(source: Connection, database_url: str) -> Polled:
    assert source
    return Polled(database_url, ("item", "other"))


async def add(connection: Connection, *ids: int) -> None:
    await connection.executemany(
        "INSERT INTO item (item_id, name) VALUES ($1, 'a')", [(each,) for each in ids]
    )


def ids(lines: list[bytes]) -> list[int]:
    return sorted(json.loads(line)["item_id"] for line in lines)


async def test_the_first_packet_has_every_row_the_second_only_what_is_new(
    source: Connection, polled: Polled
) -> None:
    await add(source, 1, 2, 3)
    assert ids(await polled.poll("run-1")) == [1, 2, 3]
    await add(source, 4)
    assert ids(await polled.poll("run-2")) == [4]
    assert polled.counters.last == {"item": 2}


async def test_an_updated_row_is_delivered_again_whatever_its_timestamps_say(
    source: Connection, polled: Polled
) -> None:
    await add(source, 1, 2)
    await polled.poll("run-1")
    await source.execute("UPDATE item SET name = 'b', created_at = '2001-01-01' WHERE item_id = 2")
    (line,) = await polled.poll("run-2")
    assert json.loads(line)["name"] == "b"


async def test_without_new_rows_there_is_no_packet(source: Connection, polled: Polled) -> None:
    await add(source, 1)
    await polled.poll("run-1")
    assert await polled.gather("run-2") is None
    assert polled.counters.last == {"item": 1}


async def test_rows_of_a_transaction_that_commits_after_the_extraction_are_not_missed(
    source: Connection, polled: Polled, database_url: str
) -> None:
    late = await asyncpg.connect(database_url)
    transaction = late.transaction()
    await transaction.start()
    await add(late, 100)
    await add(source, 1)
    assert ids(await polled.poll("run-1")) == [1]
    await add(source, 2)
    assert ids(await polled.poll("run-2")) == [2]
    await transaction.commit()
    await late.close()
    assert ids(await polled.poll("run-3")) == [100]
    assert await polled.poll("run-4") == []


async def test_rows_written_after_a_savepoint_of_a_late_transaction_are_not_missed(
    source: Connection, polled: Polled, database_url: str
) -> None:
    late = await asyncpg.connect(database_url)
    outer = late.transaction()
    await outer.start()
    await add(late, 100)
    async with late.transaction():
        await add(late, 101)
    # Later transactions that have ended lift the snapshot above the savepoint's own id.
    await add(source, 1)
    await add(source, 2)
    assert ids(await polled.poll("run-1")) == [1, 2]
    await outer.commit()
    await late.close()
    assert ids(await polled.poll("run-2")) == [100, 101]


async def test_frozen_rows_are_not_delivered_again(source: Connection, polled: Polled) -> None:
    await add(source, 1, 2)
    await polled.poll("run-1")
    await source.execute("VACUUM FREEZE item")
    assert await polled.poll("run-2") == []


async def test_a_value_arrives_as_it_is(source: Connection, polled: Polled) -> None:
    name = 'tab\t, back\\slash, "quotes", new\nline, \x02, é'
    await source.execute("INSERT INTO item VALUES (1, $1, 3.940, '2022-11-03 14:20:52.186')", name)
    (line,) = await polled.poll("run-1")
    assert json.loads(line) == {
        "item_id": 1,
        "name": name,
        "price": 3.94,
        "created_at": "2022-11-03T14:20:52.186",
    }
    assert b'"price":3.940' in line


async def test_of_two_ingests_at_once_one_gets_the_id_and_no_row_comes_twice(
    source: Connection, polled: Polled
) -> None:
    await add(source, 1, 2)
    first, second = await polled.gather("run-1"), await polled.gather("run-2")
    assert first is not None
    assert second is not None
    assert first.packets == second.packets == (Packet(table="item", id=1),)
    assert (await polled.settle(second)).packets == second.packets
    lost = await polled.settle(first)
    assert (lost.files, lost.packets) == ((), ())
    assert await polled.poll("run-1") == []
    assert record(polled, 1).run_id == "run-2"


async def test_a_run_that_loses_one_table_keeps_the_other(
    source: Connection, polled: Polled
) -> None:
    await add(source, 1)
    first = await polled.gather("run-1")
    await source.execute("INSERT INTO other VALUES (7)")
    second = await polled.gather("run-2")
    assert first is not None
    assert second is not None
    await polled.settle(first)
    kept = await polled.settle(second)
    assert kept.packets == (Packet(table="other", id=1),)
    assert "item: another run took packet 1 first" in kept.warnings
    assert await polled.settle(kept) == kept


async def test_a_crash_before_the_books_are_done_repeats_the_packet_without_loss(
    source: Connection, polled: Polled
) -> None:
    await add(source, 1)
    assert await polled.gather("died") is not None
    await add(source, 2)
    assert ids(await polled.poll("run-2")) == [1, 2]
    assert polled.counters.last == {"item": 1}


async def test_a_crash_between_record_and_counter_gives_no_id_twice(
    source: Connection, polled: Polled
) -> None:
    await add(source, 1)
    manifest = await polled.gather("run-1")
    assert manifest is not None
    polled.counters.fail_times = 1
    with pytest.raises(TransientError):
        await polled.settle(manifest)
    await add(source, 2)
    assert ids(await polled.poll("run-2")) == [2]
    assert polled.counters.last == {"item": 2}
    assert (await polled.settle(manifest)).packets == manifest.packets
    assert polled.counters.last == {"item": 2}


async def test_all_tables_are_read_in_one_snapshot(source: Connection, polled: Polled) -> None:
    await add(source, 1)
    await source.execute("INSERT INTO other VALUES (1)")
    manifest = await polled.gather("run-1")
    assert isinstance(manifest, Manifest)
    await polled.settle(manifest)
    marks = {
        PacketRecord.model_validate_json(polled.lake.objects[key]).watermark.oldest_running
        for key in polled.lake.objects
        if key.startswith("packets/")
    }
    assert len(marks) == 1


async def test_a_key_names_table_packet_and_time(source: Connection, polled: Polled) -> None:
    await add(source, 1)
    manifest = await polled.gather("run-1")
    assert manifest is not None
    assert manifest.files[0].key == "raw/totesys/item_1/run-1/item_1_20261121T090001000000Z.jsonl"


async def test_a_restored_source_is_refused(source: Connection, polled: Polled) -> None:
    await add(source, 1)
    await polled.poll("run-1")
    stored = record(polled, 1)
    future = stored.watermark.model_copy(update={"oldest_running": 2**40})
    key = packet_record_key("totesys", stored.packet)
    renewed = stored.model_copy(update={"watermark": future})
    await polled.lake.put(key, renewed.model_dump_json().encode())
    with pytest.raises(SourceRestored, match="item: the last packet"):
        await polled.gather("run-2")


async def test_a_missing_table_is_named(source: Connection, database_url: str) -> None:
    assert source
    with pytest.raises(SourceRefused, match="absent"):
        await Polled(database_url, ("absent",)).gather("run-1")


async def test_a_source_that_is_away_is_tried_again(source: Connection, polled: Polled) -> None:
    assert source
    polled.url = "postgresql://nobody@127.0.0.1:1/none"
    with pytest.raises(SourceUnavailable):
        await polled.gather("run-1")


def record(polled: Polled, packet_id: int) -> PacketRecord:
    key = packet_record_key("totesys", Packet(table="item", id=packet_id))
    return PacketRecord.model_validate_json(polled.lake.objects[key])

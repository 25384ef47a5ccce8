"""Packets through the use case: once, in any order, whatever dies in between."""

import io
import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from contracts import Envelope, InvalidMessage, LoadTable, Packet
from contracts.packet_request import ProcessPackets
from services.processor.inbound import open_inbound
from services.processor.process_packets import PacketMessage, process_packets
from services.processor.star_outputs import ObjectDiffers
from shared.consumer import Done
from shared.errors import InvalidRequest, ManifestMismatch, TransientError
from shared.lake import MissingObject
from tests.fakes import FakeLake, FakeSender
from tests.star_packets import event, put_dimensions, put_packet, row

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


async def run(lake: FakeLake, send: FakeSender, message: PacketMessage) -> Done:
    return await process_packets(message, lake=lake, send=send, now=lambda: NOW)


def loads(send: FakeSender) -> dict[str, LoadTable]:
    return {each.payload.table: each.payload for each in send.sent}


def frame(lake: FakeLake, load: LoadTable) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(lake.objects[load.object.key]))


def landed(lake: FakeLake, send: FakeSender, table: str) -> list[dict[str, Any]]:
    """The rows the loader would have: each load id once, appended or merged in order."""
    seen: dict[object, LoadTable] = {}
    for each in send.sent:
        if each.payload.table == table:
            seen.setdefault(each.payload.load_id, each.payload)
    return [one for load in seen.values() for one in frame(lake, load).to_dicts()]


async def test_a_fact_and_its_dimensions_become_loads_with_their_modes() -> None:
    lake, send = FakeLake(), FakeSender()
    packets = await put_dimensions(lake)
    packets.append(await put_packet(lake, "sales_order", 1, [row("sales_order")]))
    done = await run(lake, send, event(*packets))
    made = loads(send)
    assert done.expects == tuple(load.part for load in made.values())
    assert made["fact_sales_order"].mode == "append"
    assert (made["dim_staff"].mode, made["dim_staff"].key) == ("merge", ("staff_id",))
    assert (made["dim_date"].mode, made["dim_date"].key) == ("merge", ("date_id",))
    assert made["dim_date"].rows == 6
    name = made["fact_sales_order"].object.key.rpartition("/")[2]
    assert name == "fact_sales_order_1_processed_20261121T090000000000Z.parquet"


async def test_a_fact_without_its_dimension_waits_and_is_completed_when_it_arrives() -> None:
    lake, send = FakeLake(), FakeSender()
    packets = await put_dimensions(lake, without=("staff",))
    order = await put_packet(lake, "sales_order", 1, [row("sales_order")])
    first = await run(lake, send, event(*packets, order))
    assert first.counts["put_aside"] == 1
    assert "fact_sales_order" not in loads(send)
    staff = await put_packet(lake, "staff", 1, [row("staff")])
    second = await run(lake, send, event(staff, run_id="run-2"))
    assert second.counts["released"] == 1
    assert [one["sales_record_id"] for one in landed(lake, send, "fact_sales_order")] == [1]


async def test_a_new_department_changes_the_staff_who_are_in_it() -> None:
    lake, send = FakeLake(), FakeSender()
    await run(lake, send, event(*await put_dimensions(lake)))
    moved = await put_packet(lake, "department", 2, [row("department", location="York")])
    await run(lake, send, event(moved, run_id="run-2"))
    assert [one["location"] for one in landed(lake, send, "dim_staff")] == ["Leeds", "York"]


async def test_packets_out_of_order_leave_the_newest_row_and_a_warning() -> None:
    lake, send = FakeLake(), FakeSender()
    await run(lake, send, event(*await put_dimensions(lake)))
    old = await put_packet(lake, "department", 2, [row("department", location="York")])
    new = await put_packet(lake, "department", 3, [row("department", location="Hull")])
    done = await run(lake, send, event(new, run_id="run-3"))
    assert done.warnings == ("department: packet 3 is not sequential, 2 is missing",)
    await run(lake, send, event(old, run_id="run-2"))
    assert landed(lake, send, "dim_staff")[-1]["location"] == "Hull"
    orders = [each.payload.as_of for each in send.sent if each.payload.table == "dim_staff"]
    assert orders == sorted(set(orders))


async def test_a_repeated_message_applies_nothing_twice() -> None:
    lake, send = FakeLake(), FakeSender()
    message = event(
        *await put_dimensions(lake), await put_packet(lake, "sales_order", 1, [row("sales_order")])
    )
    first = await run(lake, send, message)
    again = await run(lake, send, message)
    assert (again.outcome, again.expects) == ("processed_before", first.expects)
    assert len(landed(lake, send, "fact_sales_order")) == 1


async def test_a_packet_that_is_named_twice_is_applied_once() -> None:
    lake, send = FakeLake(), FakeSender()
    packets = await put_dimensions(lake)
    order = await put_packet(lake, "sales_order", 1, [row("sales_order")])
    done = await run(lake, send, event(*packets, order, order))
    assert done.counts["packets"] == len(packets) + 1
    assert loads(send)["fact_sales_order"].rows == 1


async def test_a_state_with_whole_rows_is_read_as_keys() -> None:
    lake, send = FakeLake(), FakeSender()
    await run(lake, send, event(await put_packet(lake, "design", 1, [row("design")])))
    (key,) = (key for key in lake.objects if key.endswith("/design.parquet"))
    kept = pl.read_parquet(io.BytesIO(lake.objects[key]))
    assert kept.columns == ["design_id", "packet_id"]
    whole = kept.with_columns(design_name=pl.lit("Bag"), row_number=pl.lit(1))
    buffer = io.BytesIO()
    whole.write_parquet(buffer)
    lake.objects[key] = buffer.getvalue()
    second = await put_packet(lake, "design", 2, [row("design", 1), row("design", 2)])
    done = await run(lake, send, event(second, run_id="run-2"))
    assert done.counts["rows"] == 2


async def test_loads_that_were_not_sent_are_sent_by_the_next_attempt() -> None:
    lake, send = FakeLake(), FakeSender(fail_times=1)
    message = event(*await put_dimensions(lake))
    with pytest.raises(TransientError):
        await run(lake, send, message)
    await run(lake, send, message)
    assert len({each.payload.load_id for each in send.sent}) == len(send.sent) == 7


async def test_loads_of_a_dead_run_are_sent_by_whoever_comes_next() -> None:
    lake, send = FakeLake(), FakeSender(fail_times=1)
    with pytest.raises(TransientError):
        await run(lake, send, event(*await put_dimensions(lake)))
    later = await put_packet(lake, "currency", 2, [row("currency", 2, currency_code="USD")])
    await run(lake, send, event(later, run_id="run-2"))
    assert {each.run_id for each in send.sent} == {"run-1", "run-2"}
    assert len(landed(lake, send, "dim_currency")) == 2


async def test_a_processor_that_was_overtaken_starts_from_the_new_state() -> None:
    lake, send = OvertakenLake(), FakeSender()
    packets = await put_dimensions(lake)
    lake.rival = event(await put_packet(lake, "sales_order", 1, [row("sales_order")]), run_id="r2")
    lake.send = send
    order = await put_packet(lake, "sales_order", 2, [row("sales_order", 2)])
    await run(lake, send, event(*packets, order))
    facts = landed(lake, send, "fact_sales_order")
    assert sorted(one["sales_order_id"] for one in facts) == [1, 2]
    assert sorted(one["sales_record_id"] for one in facts) == [1, 2]


class OvertakenLake(FakeLake):
    """A lake in which a rival moves the state on just before the first head is written."""

    rival: PacketMessage | None = None
    send: FakeSender | None = None

    async def put_if(self, key: str, data: bytes, etag: str | None) -> bool:
        if key.endswith("star.json") and self.rival is not None and self.send is not None:
            rival, self.rival = self.rival, None
            await process_packets(rival, lake=self, send=self.send, now=lambda: NOW)
        return await super().put_if(key, data, etag)


async def test_a_row_that_does_not_fit_is_quarantined_and_named() -> None:
    lake, send = FakeLake(), FakeSender()
    bad = row("currency", 2, currency_code="XYZ")
    packet = await put_packet(lake, "currency", 1, [row("currency"), bad, "no json"])
    done = await run(lake, send, event(packet))
    assert done.counts["quarantined"] == 2
    assert "the first is row 2: currency_code is not a value" in done.warnings[0]
    kept = pl.read_parquet(
        io.BytesIO(lake.objects["clean/totesys/all/run-1/_quarantine/currency_1.parquet"])
    )
    assert kept["rule"].to_list() == ["unknown_value", "not_json"]
    assert kept["record"].to_list() == [bad, "no json"]


async def test_an_object_that_exists_with_other_content_is_an_error() -> None:
    lake, send = FakeLake(), FakeSender()
    packet = await put_packet(lake, "currency", 1, [row("currency")])
    name = "dim_currency_1_processed_20261121T090000000000Z.parquet"
    await lake.put(f"clean/totesys/all/run-1/{name}", b"something else")
    with pytest.raises(ObjectDiffers, match="dim_currency_1"):
        await run(lake, send, event(packet))


async def test_a_packet_with_other_bytes_than_recorded_is_refused() -> None:
    lake, send = FakeLake(), FakeSender()
    packet = await put_packet(lake, "currency", 1, [row("currency")])
    await lake.put("raw/totesys/currency_1/run-1/currency_1_t.jsonl", b"{}\n")
    with pytest.raises(ManifestMismatch, match="currency_1"):
        await run(lake, send, event(packet))


async def test_a_packet_nobody_stored_is_named() -> None:
    with pytest.raises(MissingObject, match="staff"):
        await run(FakeLake(), FakeSender(), event(Packet(table="staff", id=9)))


async def test_a_bare_payload_finds_its_dataset_and_its_packets() -> None:
    lake, send = FakeLake(), FakeSender()
    await put_packet(lake, "currency", 1, [row("currency")])
    body = json.dumps({"packets": [{"table": "currency", "id": 1}]})
    message: Envelope[ProcessPackets] = open_inbound(body, message_id="m-1")
    done = await run(lake, send, message)
    assert done.expects == ("totesys.dim_currency",)
    assert open_inbound(body, message_id="m-1").run_id == message.run_id


@pytest.mark.parametrize(
    "body",
    [
        '{"packets": []}',
        '{"packets": [{"table": "nobody", "id": 1}]}',
        '{"packets": [{"table": "staff", "id": 0}]}',
        '{"packets": 7}',
    ],
)
def test_a_bare_payload_that_names_no_packets_is_refused(body: str) -> None:
    with pytest.raises(InvalidMessage):
        open_inbound(body, message_id="m-1")


async def test_a_dataset_without_a_star_is_refused() -> None:
    payload = ProcessPackets(dataset="call_reports", packets=(Packet(table="rc", id=1),))
    message = Envelope[ProcessPackets].wrap(payload, run_id="r", trace=None, sent_at=NOW)
    with pytest.raises(InvalidRequest, match="no star schema"):
        await run(FakeLake(), FakeSender(), message)

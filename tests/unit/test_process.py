import hashlib
import io
import json
from typing import Any

import polars as pl
import pytest

from contracts import Envelope, FolderComplete, LoadTable, Period
from services.processor.process import process
from services.processor.type_registry import learnt_types, registry_key
from shared.consumer import Done
from shared.errors import InvalidRequest, ManifestMismatch, SchemaMismatch, TransientError
from shared.lake import MissingObject
from tests.call_report_files import (
    A_BANK,
    COLLECTED,
    PANEL_NAME,
    collect,
    panel,
    schedule,
    schedule_name,
)
from tests.fakes import FakeLake, FakeSender

RC = schedule_name("RC")
RCB = [schedule_name("RCB", f"({part} of 2)") for part in (1, 2)]
FILES = {
    PANEL_NAME: panel({37: A_BANK, 242: A_BANK}),
    RC: schedule(["RCON2170", "RCONX001"], [["37", "1", "true"], ["242", "two", ""]]),
    RCB[0]: schedule(["RCON0211"], [["37", "3"], ["242", "4"]]),
    RCB[1]: schedule(["RCON1289"], [["37", "5"], ["242", "CONF"]]),
}
PREFIX = "clean/call_reports/2013Q1/run-1/"


async def run(
    envelope: Envelope[FolderComplete], lake: FakeLake, send: FakeSender | None = None
) -> Done:
    return await process(
        envelope, lake=lake, send=send or FakeSender(), now=lambda: COLLECTED, threads=2
    )


def changed(envelope: Envelope[FolderComplete], **fields: Any) -> Envelope[FolderComplete]:
    return envelope.model_copy(update={"payload": envelope.payload.model_copy(update=fields)})


def loads(send: FakeSender) -> dict[str, LoadTable]:
    return {envelope.payload.table: envelope.payload for envelope in send.sent}


def rows(lake: FakeLake, key: str) -> list[dict[str, Any]]:
    return pl.read_parquet(io.BytesIO(lake.objects[key])).rows(named=True)


async def test_every_table_and_the_dictionary_are_ordered_to_load() -> None:
    lake, send = FakeLake(), FakeSender()
    done = await run(await collect(lake, FILES), lake, send)
    assert set(loads(send)) == {"por", "rc", "rcb", "dictionary"}
    assert set(done.expects) == {
        f"2013Q1/call_reports.{table}" for table in ("por", "rc", "rcb", "dictionary")
    }


async def test_the_step_counts_files_bytes_tables_rows_and_quarantined() -> None:
    lake = FakeLake()
    done = await run(await collect(lake, FILES), lake)
    # The dictionary has one row per column: 11 of the panel, 2 of RC, 1 of each part of RCB.
    assert done.counts == {
        "files": 4,
        "bytes": sum(map(len, FILES.values())),
        "tables": 4,
        "rows": 2 + 1 + 2 + 15,
        "quarantined": 1,
    }


async def test_a_load_names_its_object_and_how_to_check_it() -> None:
    lake, send = FakeLake(), FakeSender()
    await run(await collect(lake, FILES), lake, send)
    load = loads(send)["rcb"]
    data = lake.objects[load.object.key]
    assert load.object.key == PREFIX + "rcb.parquet"
    assert load.object.sha256 == hashlib.sha256(data).hexdigest()
    assert load.object.bytes == len(data)
    assert load.rows == len(rows(lake, load.object.key)) == 2
    assert (load.mode, load.key) == ("replace_period", ("idrssd", "period_end"))
    assert load.manifest_key == "raw/call_reports/2013Q1/run-1/_manifest.json"
    assert load.as_of == COLLECTED


async def test_a_record_that_does_not_fit_is_in_quarantine_and_in_the_report() -> None:
    lake = FakeLake()
    await run(await collect(lake, FILES), lake)
    (kept_out,) = rows(lake, PREFIX + "_quarantine/rc.parquet")
    assert (kept_out["file"], kept_out["row_number"], kept_out["idrssd"]) == (RC, 2, 242)
    assert kept_out["reason"] == "'two' is not int"
    report = json.loads(lake.objects[PREFIX + "_report.json"])
    (table,) = [entry for entry in report["tables"] if entry["table"] == "rc"]
    assert (table["rows_in"], table["rows_out"], table["quarantined"]) == (2, 1, 1)


async def test_only_tables_with_misfits_have_a_quarantine() -> None:
    lake = FakeLake()
    await run(await collect(lake, FILES), lake)
    assert await lake.keys(PREFIX + "_quarantine/") == [PREFIX + "_quarantine/rc.parquet"]


async def test_a_new_code_is_learnt_for_all_later_quarters() -> None:
    lake = FakeLake()
    await run(await collect(lake, FILES), lake)
    assert await learnt_types(lake, registry_key("call_reports")) == {"RCONX001": "bool"}


async def test_a_code_that_widens_is_remembered() -> None:
    lake = FakeLake()
    files = {RC: schedule(["RCON2170"], [["37", "1.5"]])}
    done = await run(await collect(lake, files), lake)
    assert await learnt_types(lake, registry_key("call_reports")) == {"RCON2170": "float"}
    assert done.warnings == (f"{RC}: rcon2170 became float",)
    assert rows(lake, PREFIX + "dictionary.parquet")[0]["type"] == "float"


async def test_a_learnt_type_decides_over_what_a_later_quarter_shows() -> None:
    lake = FakeLake()
    first = {RC: schedule(["RCONX001"], [["37", "1"], ["242", "2"]])}
    second = {RC: schedule(["RCONX001"], [["37", "1"], ["242", "1a"]])}
    await run(await collect(lake, first), lake)
    done = await run(await collect(lake, second, run_id="run-2"), lake)
    assert done.counts["quarantined"] == 1


async def test_a_repeated_event_gives_the_same_bytes_and_loads() -> None:
    lake, first, second = FakeLake(), FakeSender(), FakeSender()
    event = await collect(lake, FILES)
    await run(event, lake, first)
    before = dict(lake.objects)
    await run(event, lake, second)
    assert lake.objects == before
    assert loads(first) == loads(second)


async def test_a_repeated_event_keeps_its_types_when_others_learnt_wider_ones_meanwhile() -> None:
    lake, first, second = FakeLake(), FakeSender(), FakeSender()
    event = await collect(lake, {RC: schedule(["RCONX001"], [["37", "1"]])})
    await run(event, lake, first)
    other = {RC: schedule(["RCONX001"], [["37", "0.5"]])}
    await run(await collect(lake, other, run_id="run-2"), lake)
    await run(event, lake, second)
    assert loads(first) == loads(second)


async def test_the_same_files_collected_again_have_the_same_content() -> None:
    lake, first, second = FakeLake(), FakeSender(), FakeSender()
    await run(await collect(lake, FILES), lake, first)
    await run(await collect(lake, FILES, run_id="run-2"), lake, second)
    for table, load in loads(first).items():
        assert loads(second)[table].content_digest == load.content_digest
        assert loads(second)[table].load_id != load.load_id


async def test_only_the_table_of_a_changed_file_and_the_dictionary_change_their_content() -> None:
    lake, first, second = FakeLake(), FakeSender(), FakeSender()
    restated = {**FILES, RCB[1]: schedule(["RCON1289"], [["37", "6"], ["242", "CONF"]])}
    await run(await collect(lake, FILES), lake, first)
    await run(await collect(lake, restated, run_id="run-2"), lake, second)
    differ = {
        table
        for table, load in loads(first).items()
        if loads(second)[table].content_digest != load.content_digest
    }
    assert differ == {"rcb", "dictionary"}


async def test_warnings_of_the_collector_reach_the_runs_status() -> None:
    lake = FakeLake()
    event = await collect(lake, FILES, warnings=["RCO: part 1 of 2 is missing"])
    assert (await run(event, lake)).warnings[0] == "RCO: part 1 of 2 is missing"


async def test_a_file_that_is_not_what_the_manifest_says_is_refused() -> None:
    lake, send = FakeLake(), FakeSender()
    event = await collect(lake, FILES)
    await lake.put(event.payload.prefix + RC, b"something else")
    with pytest.raises(ManifestMismatch, match=r"RC 03312013\.txt has 14 bytes"):
        await run(event, lake, send)
    assert send.sent == []


async def test_a_file_of_the_right_size_with_other_bytes_is_refused() -> None:
    lake = FakeLake()
    event = await collect(lake, FILES)
    await lake.put(event.payload.prefix + RC, FILES[RC].replace(b"two", b"six"))
    with pytest.raises(ManifestMismatch, match="collect the folder anew"):
        await run(event, lake)


async def test_a_manifest_of_another_quarter_is_refused() -> None:
    lake = FakeLake()
    event = await collect(lake, FILES)
    other = changed(event, period=Period(2013, 2))
    with pytest.raises(ManifestMismatch, match="is about call_reports 2013Q1"):
        await run(other, lake)


async def test_a_manifest_that_is_not_the_one_of_the_event_is_refused() -> None:
    lake = FakeLake()
    event = await collect(lake, FILES)
    await lake.put(event.payload.manifest.key, b"{}")
    with pytest.raises(ManifestMismatch, match="is not the manifest that FolderComplete names"):
        await run(event, lake)


async def test_a_missing_file_is_refused() -> None:
    lake = FakeLake()
    event = await collect(lake, FILES)
    del lake.objects[event.payload.prefix + RC]
    with pytest.raises(MissingObject):
        await run(event, lake)


async def test_an_unknown_dataset_is_refused() -> None:
    lake = FakeLake()
    event = changed(await collect(lake, FILES), dataset="weather")
    with pytest.raises(InvalidRequest, match="no dataset is called 'weather'"):
        await run(event, lake)


async def test_a_folder_without_a_quarter_is_refused() -> None:
    lake = FakeLake()
    event = changed(await collect(lake, FILES), period=None)
    with pytest.raises(InvalidRequest, match="comes by quarter"):
        await run(event, lake)


async def test_nothing_is_ordered_when_a_header_is_wrong() -> None:
    lake, send = FakeLake(), FakeSender()
    event = await collect(lake, {**FILES, schedule_name("RI"): b"<html>Error</html>"})
    with pytest.raises(SchemaMismatch, match="RI 03312013"):
        await run(event, lake, send)
    assert send.sent == []


async def test_a_queue_that_is_out_of_reach_leaves_work_that_can_be_repeated() -> None:
    lake, send = FakeLake(), FakeSender(fail_times=1)
    event = await collect(lake, FILES)
    with pytest.raises(TransientError):
        await run(event, lake, send)
    done = await run(event, lake, send)
    assert set(loads(send)) == {part.split(".")[1] for part in done.expects}

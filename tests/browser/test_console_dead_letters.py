"""The console's dead-letter pages in headless Chromium: every view and every action."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from contracts import Period
from ops.dlq import deeds
from ops.dlq.filters import Filter
from ops.dlq.journal import Tally
from ops.dlq.replay import Pace
from tests.console_page import (
    Console,
    console_process,
    post,
    put,
)
from tests.dlq_bench import Queues, bench_at
from tests.emulator import local_session
from tests.parked import NAMES, Parked, collect, load, park


def test_filters_narrow_the_messages_as_one_types(console: Console) -> None:
    console.open("/dlq")
    assert len(console.texts(".groups li")) == 12

    console.find("input[name=where]").send_keys("payload.table == 'rcb'")

    console.wait_for(".head .sub", "2 of 24")
    console.find("input[name=where]").send_keys(" [")
    console.wait_for("[role=alert]", "does not parse")


def test_a_body_with_a_script_is_shown_and_not_run(console: Console) -> None:
    console.open("/dlq?error=MemoryError")
    console.find(".list td a").click()

    console.wait_for(".lead", "<script>document.title='run'</script>")
    assert console.browser.title != "run"
    assert '"FolderComplete"' in console.texts(".j-text")


def test_an_edit_is_checked_planned_and_replayed_with_progress(
    console: Console, queues: Queues
) -> None:
    console.open("/dlq?error=PageChanged")
    console.find(".list td a").click()
    console.wait_for("h1", "PageChanged")
    console.find("summary").click()
    area = console.find("textarea")
    body = area.get_attribute("value") or ""
    put(console, area, body.replace('"period":"', '"period":"x'))
    console.find("form.edit input[name=why]").send_keys("typing error")
    console.find("form.edit button").click()
    console.wait_for("[role=alert]", "payload.period")

    put(console, console.find("textarea"), re.sub(r"20\d\dQ\d", "2019Q4", body))
    console.find("form.edit input[name=why]").send_keys("typing error")
    console.find("form.edit button").click()
    console.wait_for("[role=alert]", "Kept.")
    console.find("form.deeds button").click()
    console.wait_for(".plan", "1 of 1 would be sent")
    console.find(".plan input[name=why]").send_keys("fixed")
    console.find(".plan button").click()
    console.wait_for(".progress .good", "1 done")

    (sent,) = queues.drain("collector")
    assert '"2019Q4"' in sent["Body"]
    console.open("/dlq/audit")
    assert [row.split()[0] for row in console.texts(".list td:nth-child(3)")][:2] == [
        "replay",
        "edit",
    ]


def test_a_fifo_replay_out_of_order_needs_a_word(console: Console, queues: Queues) -> None:
    park(queues.sqs, [Parked("loader", load(Period(2020, q), "t"), group="late") for q in (1, 1)])
    console.open("/dlq")
    console.find(".filter button").click()
    console.wait_for(".head .sub", f"of {queues.parked()}")
    console.open("/dlq?where=payload.table+%3D%3D+%27t%27")
    last = console.browser.find_elements(By.CSS_SELECTOR, ".list td a")[-1]
    last.click()
    console.wait_for("h1", "Redriven")
    console.find("form.deeds button").click()
    console.wait_for(".plan .bad", "parked before it")
    console.find(".plan input[name=why]").send_keys("in a hurry")
    console.find(".plan button").click()
    console.wait_for(".progress .bad", "would break the order")


def test_a_purge_asks_archives_and_deletes(console: Console, queues: Queues) -> None:
    before = queues.parked()
    console.open("/dlq?error=UnsafeArchive")
    console.find("form[hx-post='/dlq/purge'] input[name=why]").send_keys("useless")
    console.find("button.danger").click()
    console.browser.switch_to.alert.accept()

    console.wait_for(".progress .good", "2 done")

    assert queues.parked() == before - 2
    keys = local_session().client("s3", endpoint_url=queues.sqs.meta.endpoint_url)
    found = keys.list_objects_v2(Bucket=NAMES.bucket, Prefix="ops/dlq/purge/")
    assert found["KeyCount"] >= 1


class CutOff(Exception):
    """What ends a replay in the middle."""


async def cut_off(endpoint: str, folder: Path) -> None:
    def cut(tally: Tally) -> None:
        raise CutOff(tally)

    async with bench_at(endpoint, folder) as bench:
        await bench.look()
        messages = await bench.parked(Filter(error="PeriodNotOffered"))
        plan = await bench.plan(messages, selection="night")
        with pytest.raises(CutOff):
            await deeds.replay(bench, plan, messages, why="night", pace=Pace(100), progress=cut)


def test_a_replay_that_was_cut_off_is_taken_up(
    console: Console, queues: Queues, emulator_url: str, variables: dict[str, str]
) -> None:
    queues.drain("collector")
    asyncio.run(cut_off(emulator_url, Path(variables["QUARRY_HOME"])))
    console.open("/dlq")
    console.wait_for(".unfinished b", "was cut off")

    console.find(".unfinished button").click()

    console.wait_for(".progress .good", "2 done")
    assert len(queues.drain("collector")) == 2
    console.open("/dlq")
    assert console.texts(".unfinished") == []


def test_without_write_nothing_can_be_changed(
    variables: dict[str, str], browser: webdriver.Chrome, queues: Queues, tmp_path: Path
) -> None:
    queues.empty()
    park(queues.sqs, [Parked("collector", collect(Period(2013, 1)))])
    with console_process({**variables, "QUARRY_HOME": str(tmp_path)}) as address:
        console = Console(address, browser)
        console.open("/dlq")
        assert not console.find("button.danger").is_enabled()
        csrf = json.loads(console.find("body").get_attribute("hx-headers") or "")
        assert post(console, "/dlq/replay", **csrf) == 403
        assert post(console, "/dlq/look", **csrf) == 200
    assert queues.parked() == 1


def test_more_messages_than_a_page_holds_are_paged_and_planned_page_by_page(
    variables: dict[str, str], browser: webdriver.Chrome, queues: Queues, tmp_path: Path
) -> None:
    queues.empty()
    quarters = list(Period(1990, 1).through(Period(2020, 4)))
    park(queues.sqs, [Parked("collector", collect(quarter)) for quarter in quarters])
    with console_process({**variables, "QUARRY_HOME": str(tmp_path)}) as address:
        console = Console(address, browser)
        console.open("/dlq?service=collector")
        assert len(console.texts("td .sub.shape")) == 100
        console.find(".pages a[rel=next]").click()
        console.wait_for(".pages span", "page 2 of 2")
        assert "service=collector" in browser.current_url
        assert len(console.texts("td .sub.shape")) == 24
        console.find(".deeds button").click()
        console.wait_for(".plan p", "24 of 24 would be sent. 100 more fit the filter")

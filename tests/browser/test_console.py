"""The console in headless Chromium: every view, every action, live, accessible, safe."""

import asyncio
import io
from datetime import UTC, datetime
from time import monotonic
from urllib.request import Request, urlopen

import polars as pl
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from infra.names import SERVICES
from shared.metrics import SHOWN
from tests.console_page import (
    Console,
    keep_screenshot,
    look_at,
    post,
    status,
)
from tests.console_run import LOADED, RUN, record, step
from tests.dlq_bench import Queues
from tests.emulator import local_session
from tests.parked import NAMES

PAGES = ("/", "/runs", f"/runs/{RUN}", "/dlq", "/dlq/audit", "/quarantine",
         "/row?table=call_reports.rc&key=37+2013Q1")  # fmt: skip


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_is_accessible_fits_its_width_and_says_nothing_in_the_log(
    console: Console, width: int, dark: bool
) -> None:
    browser = console.browser
    look_at(browser, width=width, dark=dark)
    try:
        for page in PAGES:
            console.open(page)
            assert console.serious_findings() == [], page
            wide = browser.execute_script("return document.documentElement.scrollWidth")
            assert wide <= width, page
            keep_screenshot(browser, page, width=width, dark=dark)
        assert [line["message"] for line in browser.get_log("browser")] == []  # type: ignore[no-untyped-call]  # selenium's
    finally:
        look_at(browser, width=1280)


def test_the_overview_shows_path_quarters_runs_and_rows(console: Console) -> None:
    console.open("/")

    assert console.texts(".station h3") == ["Generator", "Collector", "Processor", "Loader"]
    assert "dead letter" in console.texts(".station .dead")[1]
    assert console.class_of("#heat-call_reports-2013Q1") == "cell loaded"
    assert console.class_of("#heat-call_reports-2013Q2") == "cell collecting"
    assert RUN in console.texts(".list td")[0]
    assert console.texts(".growth .name") == ["rc"]
    assert "2" in console.texts(".growth .n")


def test_what_happens_is_on_the_page_within_two_seconds(
    console: Console, queues: Queues, emulator_url: str
) -> None:
    console.open("/")
    console.wait_for(".beat", "UTC")

    queues.sqs.send_message(QueueUrl=queues.url(NAMES.queue("collector")), MessageBody="{}")
    began = monotonic()
    console.wait_for(".station:nth-child(2) .queue dd", "1", seconds=5)
    assert monotonic() - began < 2

    asyncio.run(record(emulator_url, step("collector", "2013Q2", 30, status="parked", reason="E")))
    began = monotonic()
    WebDriverWait(console.browser, 5, poll_frequency=0.05).until(
        lambda _: console.class_of("#heat-call_reports-2013Q2") == "cell failed"
    )
    assert monotonic() - began < 2
    queues.drain("collector")


def test_every_queue_tells_how_old_its_oldest_message_is(console: Console, queues: Queues) -> None:
    for service in SERVICES:
        name = NAMES.queue(service)
        order = {"MessageGroupId": "g", "MessageDeduplicationId": "d"} if ".fifo" in name else {}
        queues.sqs.send_message(QueueUrl=queues.url(name), MessageBody="{}", **order)
    console.open("/")

    for station in range(1, 5):
        age = f".station:nth-child({station}) .queue div:nth-child(3) dd"
        console.wait_for(age, " s")
    for service in SERVICES:
        queues.drain(service)


def test_what_a_service_did_has_the_names_that_cloudwatch_has(
    console: Console, emulator_url: str
) -> None:
    ended = int((datetime.now(UTC) - LOADED).total_seconds())
    load = step("loader", "2013Q1/call_reports.rc", ended - 4, counts={"rows": 2}, outcome="loaded")
    asyncio.run(record(emulator_url, load))
    console.open("/")
    console.wait_for(".station:last-child .gauges dd", "4.0 s")

    assert console.texts(".station:first-child .gauges dt") == list(SHOWN)
    assert console.texts(".station:last-child .gauges dd")[:2] == ["1", "4.0 s"]


def test_an_update_moves_nothing_and_keeps_the_focus(console: Console, queues: Queues) -> None:
    console.open("/")
    console.wait_for(".beat", "UTC")
    place = "return document.querySelector('.heat').getBoundingClientRect().top"
    before = console.browser.execute_script(place)
    console.browser.execute_script("document.querySelector('#dead-collector').focus()")

    queues.sqs.send_message(QueueUrl=queues.url(NAMES.queue("collector")), MessageBody="{}")
    console.wait_for(".station:nth-child(2) .queue dd", "1", seconds=5)

    assert console.browser.execute_script(place) == before
    focused = console.browser.execute_script("return document.activeElement.id")
    assert focused == "dead-collector"
    queues.drain("collector")


def test_a_quarter_opens_its_run_with_the_timeline(console: Console) -> None:
    console.open("/")
    console.click("#heat-call_reports-2013Q1")

    console.wait_for("h1", RUN)
    assert len(console.browser.find_elements(By.CSS_SELECTOR, ".lane rect")) >= 4
    assert "RCO(1 of 2) is missing" in " ".join(console.texts(".note"))
    assert "Root=1-6b00d0f0" in console.find(".facts").text


def test_the_keyboard_reaches_content_and_groups(console: Console) -> None:
    console.open("/dlq")
    body = console.find("body")
    body.send_keys(Keys.TAB)
    active = console.browser.switch_to.active_element
    assert active.text == "Skip to content"
    active.send_keys(Keys.ENTER)
    console.browser.execute_script("document.querySelector('.groups a').focus()")
    console.browser.switch_to.active_element.send_keys(Keys.ENTER)

    WebDriverWait(console.browser, 10).until(lambda browser: "kind=" in browser.current_url)
    assert len(console.texts(".groups .chosen")) == 1


def test_the_loads_of_a_run_are_folded_by_quarter(console: Console) -> None:
    console.open(f"/runs/{RUN}")

    assert "1 load, 2 rows" in console.texts(".loads summary")[0]
    stages = ["generator", "collector", "processor", "collector"]
    assert console.texts("#steps-h + .wide td:first-child") == stages


def test_records_kept_out_can_be_read_and_are_escaped(console: Console, queues: Queues) -> None:
    records = io.BytesIO()
    pl.DataFrame({"file": ["RC.txt"], "row_number": [7], "record": ["<b>37\tx</b>"]}).write_parquet(
        records
    )
    lake = local_session().client("s3", endpoint_url=queues.sqs.meta.endpoint_url)
    key = f"clean/call_reports/2013Q1/{RUN}/_quarantine/rc.parquet"
    lake.put_object(Bucket=NAMES.bucket, Key=key, Body=records.getvalue())

    console.open("/quarantine")
    console.click(".list td a")

    console.wait_for(".records td", "<b>37\tx</b>")
    assert console.texts(".records th") == ["file", "row_number", "record"]


def test_a_row_is_followed_to_its_load(console: Console) -> None:
    console.open("/row")
    console.find("input[name=table]").send_keys("call_reports.rc")
    console.find("main input[name=key]").send_keys("37 2013Q1")
    console.find("main button").click()

    console.wait_for(".lineage", "period_end = 2013-03-31, idrssd = 37")
    assert "100" in console.texts(".values dd")
    console.open("/row?table=call_reports.rc&key=1+2013Q1")
    console.wait_for("[role=alert]", "no row with")


def test_without_its_token_the_console_shows_nothing(console: Console) -> None:
    assert status(console.base + "/") == 401
    assert status(console.base + "/?token=wrong") == 401
    assert status(console.base + "/", Host="evil.example") == 421


def test_a_change_from_another_page_is_refused(console: Console) -> None:
    assert post(console, "/dlq/look") == 403
    assert post(console, "/dlq/look", **{"X-CSRF-Token": "guess"}) == 403


def test_the_security_policy_allows_no_foreign_and_no_inline_script(console: Console) -> None:
    port = console.base.rsplit(":", 1)[1]
    headers = {"Cookie": f"quarry_console_{port}={console.token}"}
    with urlopen(Request(console.base + "/", headers=headers), timeout=10) as answer:  # noqa: S310  # ours
        policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy

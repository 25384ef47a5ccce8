"""The console in headless Chromium: every view, every action, live, accessible, safe."""

import asyncio
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.request import Request, urlopen

import asyncpg
import polars as pl
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from contracts import Period, StepRecord
from infra.names import SERVICES
from ops.stack.services import aws_variables
from services.loader import ledger
from services.loader.exactly_once import load_parquet
from shared.aws import open_clients
from shared.metrics import SHOWN
from shared.run_log import DynamoRunLog
from tests.console_page import (
    Console,
    console_process,
    keep_screenshot,
    look_at,
    post,
    put,
    status,
)
from tests.dlq_bench import Queues, pointed_at
from tests.emulator import local_session
from tests.loads import LIMITS, PROVENANCE, bank_rows, write
from tests.parked import NAMES, Parked, collect, load, park, parked_messages

RUN = "20261121-080000-abcd"
LOADED = datetime.now(UTC) - timedelta(minutes=3)
PAGES = ("/", "/runs", f"/runs/{RUN}", "/dlq", "/dlq/audit", "/quarantine",
         "/row?table=call_reports.rc&key=37+2013Q1")  # fmt: skip


def step(stage: str, part: str, second: int, **fields: Any) -> StepRecord:
    at = LOADED + timedelta(seconds=second)
    values = {
        "run_id": RUN,
        "stage": stage,
        "part": part,
        "status": "done",
        "dataset": "call_reports",
        "message_id": "m",
        "started_at": at,
        "finished_at": at + timedelta(seconds=4),
        "trace": "Root=1-6b00d0f0-c4133d3a88745ddc8ef71c0a",
    }
    return StepRecord.model_validate(values | fields)


async def record(endpoint: str, *steps: StepRecord) -> None:
    with pointed_at(endpoint):
        async with open_clients() as clients:
            for one in steps:
                await DynamoRunLog(clients.dynamodb, NAMES.runs_table).record(one)


async def fill_table(url: str, folder: Path) -> None:
    connection = await asyncpg.connect(url, statement_cache_size=0)
    try:
        await ledger.prepare(connection)
        path = folder / "rc.parquet"
        declaration = write(path, bank_rows({37: 100, 242: 200}))
        await load_parquet(connection, path, declaration, PROVENANCE, LIMITS)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def queues(emulator_url: str) -> Queues:
    found = Queues.at(emulator_url)
    found.empty()
    park(found.sqs, parked_messages(24))
    return found


@pytest.fixture(scope="module")
def database(database_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    name = "test_console"
    asyncio.run(_run(database_server, f'CREATE DATABASE "{name}"'))
    url = database_server.rsplit("/", 1)[0] + f"/{name}"
    asyncio.run(fill_table(url, tmp_path_factory.mktemp("rows")))
    yield url
    asyncio.run(_run(database_server, f'DROP DATABASE "{name}" WITH (FORCE)'))


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def variables(
    emulator_url: str, queues: Queues, database: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    assert queues.parked() == 24
    steps = [
        step("generator", "all", 0, expects=("2013Q1", "2013Q2", "2026Q3")),
        step("collector", "2013Q1", 5, counts={"files": 44}, warnings=("RCO(1 of 2) is missing",)),
        step("processor", "2013Q1", 10, expects=("2013Q1/call_reports.rc",)),
        step("loader", "2013Q1/call_reports.rc", 15, counts={"rows": 2}, outcome="loaded"),
    ]
    asyncio.run(record(emulator_url, *steps))
    return {
        **aws_variables(emulator_url),
        "QUARRY_HOME": str(tmp_path_factory.mktemp("console")),
        "DATABASE_URL": database,
        "HOME": str(tmp_path_factory.mktemp("home")),
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.binary_location = "/usr/bin/chromium"
    driver = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    look_at(driver, width=1280)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def console(variables: dict[str, str], browser: webdriver.Chrome) -> Iterator[Console]:
    with console_process(variables, "--write") as address:
        yield Console(address, browser)


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


def test_what_a_service_did_has_the_names_that_cloudwatch_has(console: Console) -> None:
    console.open("/")

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

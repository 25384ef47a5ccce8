"""A console with 24 parked messages, a run and a table, and a browser that looks at it."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest
from selenium import webdriver

from ops.stack.services import aws_variables
from tests.console_page import (
    Console,
    console_process,
    look_at,
)
from tests.console_run import fill_table, record, step
from tests.dlq_bench import Queues
from tests.parked import park, parked_messages


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
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

import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, sleep

import psutil
import pytest
from selenium.webdriver.remote.remote_connection import RemoteConnection

from contracts import Period
from contracts.datasets.call_reports import SOURCE
from ops.portal.catalogue import Catalogue
from ops.portal.faults import FaultName
from ops.portal.quarters import MadeUpQuarters
from ops.portal.serve import Portal, running_portal
from ops.stack.home import Home
from ops.stack.supervise import Program, kill_leftovers, launch
from services.collector.sources.browser import BrowserPortal
from services.collector.sources.chromium import BROWSER_FAILED, Chromium
from services.collector.sources.http import HttpPortal
from services.collector.sources.source import Download
from shared.errors import (
    DownloadCutShort,
    PageChanged,
    PeriodNotOffered,
    QuarryError,
    SourceUnavailable,
    UnexpectedDownload,
    UnsafeArchive,
)
from shared.leftovers import sweep

QUARTER, LAST = Period(2013, 1), Period(2013, 3)
USER_AGENT = "Quarry test (+https://contact.example)"
KINDS = [BrowserPortal, HttpPortal]


@dataclass(frozen=True)
class Site:
    """The stand-in with small quarters, and what it has made so far."""

    portal: Portal
    quarters: MadeUpQuarters


@pytest.fixture(scope="module")
def running_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    quarters = MadeUpQuarters(tmp_path_factory.mktemp("quarters"), seed=1, banks=5)
    with running_portal(Catalogue(None, quarters, LAST)) as portal:
        yield Site(portal, quarters)


@pytest.fixture
def site(running_site: Site) -> Iterator[Site]:
    yield running_site
    running_site.portal.heal()


@pytest.fixture(autouse=True)
def _nothing_left_over() -> Iterator[None]:
    """Hold every test to leave no process and no temporary file of a browser."""
    before = traces()
    yield
    deadline = monotonic() + 5
    while traces() - before:
        assert monotonic() < deadline, traces() - before


def traces() -> set[str]:
    processes = {
        f"{child.pid} {child.name()}" for child in psutil.Process().children(recursive=True)
    }
    folder = Path(tempfile.gettempdir())
    return processes | {path.name for path in folder.glob(f"quarry-browser-{os.getpid()}-*")}


def visitor(
    kind: type[BrowserPortal | HttpPortal],
    site: Site,
    *,
    page_seconds: float = 30,
    download_seconds: float = 30,
) -> BrowserPortal | HttpPortal:
    given = (site.portal.url, USER_AGENT, page_seconds, download_seconds)
    if kind is BrowserPortal:
        return BrowserPortal(*given, environment=dict(os.environ))
    return HttpPortal(*given)


async def error_of(
    source: BrowserPortal | HttpPortal, folder: Path, period: Period = QUARTER
) -> QuarryError:
    with pytest.raises(QuarryError) as raised:
        await source.fetch(SOURCE, period, folder)
    return raised.value


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def wait_for_download(portal: Portal, seen: int) -> None:
    while not any(one["download"] for one in portal.requests()[seen:]):
        sleep(0.1)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_quarter_asked_for_arrives_whatever_is_preselected(
    kind: type[BrowserPortal | HttpPortal], site: Site, tmp_path: Path
) -> None:
    site.portal.fault("xbrl_default")
    seen = len(site.portal.requests())
    # Not the first of the list, and its option value says nothing.
    download = await visitor(kind, site).fetch(SOURCE, QUARTER, tmp_path)
    name = "FFIEC CDR Call Bulk All Schedules 03312013.zip"
    assert download == Download(download.path, name, site.portal.url)
    assert download.path.read_bytes() == site.quarters.zip_of(QUARTER).read_bytes()
    requests = [one for one in site.portal.requests()[seen:] if one["path"] != "/favicon.ico"]
    assert [one["method"] for one in requests] == ["GET", "POST", "POST"]
    assert {one["user_agent"] for one in requests} == {USER_AGENT}
    assert requests[-1]["format"] == "TSVRadioButton"
    assert names_in(tmp_path) == [download.path.name]


@dataclass(frozen=True)
class Spoilt:
    """A fault of the site and how it has to be told."""

    fault: FaultName
    detail: str
    error: type[QuarryError]
    words: str


FAULTS = [
    Spoilt("html_error", "", UnexpectedDownload, "03/31/2013 with an HTML page"),
    Spoilt("not_a_zip", "", UnexpectedDownload, "is not a zip: it starts with b'This is '"),
    Spoilt("forbidden", "", SourceUnavailable, "the site answered 403; .* QUARRY_USER_AGENT"),
    Spoilt("missing_date", "2013Q1", PeriodNotOffered, "03/31/2013 is not among the 50 dates"),
    Spoilt("missing_control", "ListBox1", PageChanged, "no control 'ListBox1'"),
    Spoilt("missing_control", "TSVRadioButton", PageChanged, "no format 'Tab Delimited'"),
    Spoilt("missing_control", "Download_0", PageChanged, "no control 'Download_0'"),
    Spoilt("cut_off", "", DownloadCutShort, "broke"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spoilt", FAULTS, ids=lambda one: f"{one.fault} {one.detail}".strip())
async def test_each_fault_has_an_error_of_its_own(
    kind: type[BrowserPortal | HttpPortal], spoilt: Spoilt, site: Site, tmp_path: Path
) -> None:
    site.portal.fault(spoilt.fault, detail=spoilt.detail)
    with pytest.raises(spoilt.error, match=spoilt.words) as raised:
        await visitor(kind, site).fetch(SOURCE, QUARTER, tmp_path)
    assert type(raised.value) is spoilt.error


async def test_a_date_list_that_never_comes_is_a_changed_page_to_the_browser(
    site: Site, tmp_path: Path
) -> None:
    site.portal.fault("missing_control", detail="DatesDropDownList")
    error = await error_of(visitor(BrowserPortal, site, page_seconds=5), tmp_path)
    assert isinstance(error, PageChanged)
    assert "no dates came in 'DatesDropDownList'" in str(error)


async def test_a_date_list_that_is_gone_is_a_changed_page_over_http(
    site: Site, tmp_path: Path
) -> None:
    site.portal.fault("missing_control", detail="DatesDropDownList")
    assert isinstance(await error_of(visitor(HttpPortal, site), tmp_path), PageChanged)


async def test_a_site_that_is_down_for_a_moment_is_unavailable(site: Site, tmp_path: Path) -> None:
    site.portal.fault("unavailable", times=1)
    error = await error_of(visitor(HttpPortal, site), tmp_path)
    assert isinstance(error, SourceUnavailable)
    assert "answered 503" in str(error)
    await visitor(HttpPortal, site).fetch(SOURCE, QUARTER, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_download_that_takes_too_long_is_cut_short(
    kind: type[BrowserPortal | HttpPortal], site: Site, tmp_path: Path
) -> None:
    site.portal.fault("slow", detail="60")
    begun = monotonic()
    error = await error_of(visitor(kind, site, download_seconds=2), tmp_path)
    assert isinstance(error, DownloadCutShort)
    assert "did not end in 2 s" in str(error)
    assert monotonic() - begun < 40


@pytest.mark.parametrize("kind", KINDS)
async def test_a_page_that_never_loads_is_an_unavailable_source(
    kind: type[BrowserPortal | HttpPortal], site: Site, tmp_path: Path
) -> None:
    site.portal.fault("hanging", detail="60")
    begun = monotonic()
    error = await error_of(visitor(kind, site, page_seconds=2), tmp_path)
    assert isinstance(error, SourceUnavailable)
    assert "did not load in time" in str(error)
    assert monotonic() - begun < 40


@pytest.mark.parametrize("kind", KINDS)
async def test_a_site_that_is_not_there_is_unavailable(
    kind: type[BrowserPortal | HttpPortal], tmp_path: Path
) -> None:
    source = kind("http://127.0.0.1:9/page.aspx", USER_AGENT, 10, 10)
    assert isinstance(await error_of(source, tmp_path), SourceUnavailable)


async def test_a_browser_that_does_not_start_is_an_unavailable_source(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in ("chromium", "chromedriver"):
        command = commands / name
        command.write_text("#!/bin/sh\nexit 1\n")
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    error = await error_of(visitor(BrowserPortal, site), tmp_path)
    assert isinstance(error, SourceUnavailable)
    assert "the browser did not start" in str(error)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("slowly", [True, False])
async def test_a_download_that_is_larger_than_allowed_is_refused_for_good(
    kind: type[BrowserPortal | HttpPortal], site: Site, tmp_path: Path, *, slowly: bool
) -> None:
    if slowly:  # so that it is still under way when it is too large
        site.portal.fault("slow", detail="20")
    size = site.quarters.zip_of(QUARTER).stat().st_size
    source = replace(visitor(kind, site, download_seconds=60), most_bytes=size // 4)
    error = await error_of(source, tmp_path)
    assert isinstance(error, UnsafeArchive)
    assert f"{size // 4} are allowed" in str(error)
    assert "QUARRY_DOWNLOAD_BYTES" in str(error)


async def test_a_download_of_just_the_size_allowed_arrives(site: Site, tmp_path: Path) -> None:
    size = site.quarters.zip_of(QUARTER).stat().st_size
    for kind in KINDS:
        source = replace(visitor(kind, site), most_bytes=size)
        folder = tmp_path / kind.__name__
        folder.mkdir()
        assert (await source.fetch(SOURCE, QUARTER, folder)).path.stat().st_size == size


def test_a_browser_that_crashes_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    browser = Chromium(USER_AGENT, environment)
    with browser.running(30) as driver, pytest.raises(BROWSER_FAILED):
        driver.get("chrome://crash")
    assert list(tmp_path.rglob("*")) == []


def test_a_killed_browser_keeps_no_command_waiting_for_its_answer() -> None:
    browser = Chromium(USER_AGENT, dict(os.environ))
    with browser.running(30) as driver, ThreadPoolExecutor(1) as pool:
        executor = driver.command_executor
        assert isinstance(executor, RemoteConnection)
        executor.client_config.websocket_timeout = 600
        driver.browser.set_download_behavior(allowed=False)
        for process in psutil.Process().children(recursive=True):
            process.suspend()
        command = pool.submit(driver.browser.set_download_behavior, allowed=False)
        with pytest.raises(TimeoutError):
            command.result(timeout=1)
        browser.kill()
        with pytest.raises(BROWSER_FAILED):
            command.result(timeout=60)


def test_a_browser_that_ended_leaves_no_descriptor_open() -> None:
    def visit() -> int:
        with Chromium(USER_AGENT, dict(os.environ)).running(30) as driver:
            driver.browser.set_download_behavior(allowed=False)
        return psutil.Process().num_fds()

    visit()
    before = visit()
    deadline = monotonic() + 30
    while visit() > before:
        assert monotonic() < deadline


async def test_a_cancelled_visit_ends_its_browser_at_once(site: Site, tmp_path: Path) -> None:
    site.portal.fault("slow", detail="60")
    seen = len(site.portal.requests())
    visit = asyncio.create_task(visitor(BrowserPortal, site).fetch(SOURCE, QUARTER, tmp_path))
    await asyncio.to_thread(wait_for_download, site.portal, seen)
    visit.cancel()
    begun = monotonic()
    with pytest.raises(asyncio.CancelledError):
        await visit
    assert monotonic() - begun < 5


def test_the_stack_finds_the_browser_of_a_killed_collector(site: Site, tmp_path: Path) -> None:
    site.portal.fault("slow", detail="60")
    seen = len(site.portal.requests())
    visit = (
        "import asyncio, pathlib; from contracts import Period;"
        "from contracts.datasets.call_reports import SOURCE;"
        "from services.collector.sources.browser import BrowserPortal;"
        f"portal = BrowserPortal({site.portal.url!r}, 'test');"
        f"asyncio.run(portal.fetch(SOURCE, Period(2013, 1), pathlib.Path({str(tmp_path)!r})))"
    )
    home = Home(tmp_path)
    home.logs.mkdir()
    program = Program("collector", (sys.executable, "-c", visit), {}, ready=lambda _: True)
    collector = launch(program, home).process
    wait_for_download(site.portal, seen)
    children = psutil.Process(collector.pid).children(recursive=True)
    collector.kill()
    collector.wait()
    assert {child.name() for child in children} >= {"chromedriver", "chromium"}
    assert kill_leftovers(home, "collector") >= 2
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    left = Path(tempfile.gettempdir()).glob(f"quarry-browser-{collector.pid}-*")
    assert len(list(left)) == 1
    sweep()
    assert not list(Path(tempfile.gettempdir()).glob(f"quarry-browser-{collector.pid}-*"))

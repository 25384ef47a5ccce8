"""The portal through a real browser: headless Chromium driven by Selenium."""

import asyncio
import queue
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from selenium.common.exceptions import (
    NoSuchElementException,
    StaleElementReferenceException,
    TimeoutException,
    WebDriverException,
)
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.command import Command
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from contracts import Period, PortalSource
from services.collector.sources import portal
from services.collector.sources.source import Download
from shared.errors import DownloadCutShort, PageChanged, SourceUnavailable
from shared.log import log

_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # Lambda and root have no user namespaces to build the sandbox from
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1280,1000",
)
_POLL_SECONDS = 0.05
_GONE = (NoSuchElementException, StaleElementReferenceException)


@dataclass(frozen=True)
class BrowserPortal:
    """Downloads as a person would, one fresh browser per archive.

    `page_seconds` is how long a page may take, `download_seconds` how long the archive may.
    """

    url: str
    user_agent: str
    page_seconds: float = 60
    download_seconds: float = 600

    async def fetch(self, source: PortalSource, period: Period, into: Path) -> Download:
        """Choose product, quarter and format on the page, press the button, wait for the file."""
        return await asyncio.to_thread(self._fetch, source, period, into)

    def _fetch(self, source: PortalSource, period: Period, into: Path) -> Download:
        with _browser(self.user_agent) as driver, _translated(self.url):
            driver.set_page_load_timeout(self.page_seconds)
            page = _Page(driver, self.page_seconds)
            downloads = _Downloads(driver, into)
            page.open(self.url)
            page.choose_product(source.product)
            page.choose_date(source, period)
            page.choose_format(source.file_format)
            page.press_download()
            name, path = downloads.wait(period, self.download_seconds)
        portal.check_archive(path, name, source, period)
        log.info("archive_downloaded", archive=name, bytes=path.stat().st_size, through="browser")
        return Download(path, name, self.url)


class _Page:
    """The form's controls, each awaited by condition, never by a pause."""

    def __init__(self, driver: Chrome, seconds: float) -> None:
        self._driver = driver
        self._seconds = seconds

    def open(self, url: str) -> None:
        self._driver.get(url)
        _check_status(self._driver, "opening the page")

    def choose_product(self, product: str) -> None:
        """Select by text; the page posts back and only then has the product's dates."""
        box = self._control(portal.PRODUCTS)
        select = Select(box)
        texts = [option.text.strip() for option in select.options]
        if product not in texts:
            raise PageChanged(f"{portal.PRODUCTS!r} has no product {product!r}; it has {texts}")
        before = self._driver.find_elements(By.ID, portal.DATES)
        select.select_by_visible_text(product)
        if before:
            self._wait(lambda: _is_stale(before[0]), "the page did not post back")
        self._wait(self._has_dates, f"no dates came in {portal.DATES!r} after the product")

    def choose_date(self, source: PortalSource, period: Period) -> None:
        select = Select(self._control(portal.DATES))
        texts = [option.text.strip() for option in select.options]
        wanted = portal.date_text(period)
        if wanted not in texts:
            raise portal.not_offered(source, period, texts)
        select.select_by_visible_text(wanted)

    def choose_format(self, file_format: str) -> None:
        """Always click, whatever is preselected: the site has changed its default before."""
        label = self._find(By.XPATH, f"//label[contains(normalize-space(.), '{file_format}')]")
        if label is None:
            raise PageChanged(f"the page has no format {file_format!r}")
        radio = self._control(label.get_attribute("for") or "")
        radio.click()
        if not radio.is_selected():
            raise PageChanged(f"the format {file_format!r} cannot be selected")

    def press_download(self) -> None:
        self._control(portal.DOWNLOAD).click()

    def _has_dates(self) -> bool:
        found = self._driver.find_elements(By.CSS_SELECTOR, f"#{portal.DATES} option")
        return bool(found)

    def _control(self, element_id: str) -> WebElement:
        found = self._find(By.ID, element_id) if element_id else None
        if found is None:
            raise PageChanged(f"the page has no control {element_id!r}; was it redesigned?")
        return found

    def _find(self, by: str, value: str) -> WebElement | None:
        found = self._driver.find_elements(by, value)
        return found[0] if found else None

    def _wait(self, condition: Any, otherwise: str) -> None:
        wait = WebDriverWait(
            self._driver, self._seconds, _POLL_SECONDS, ignored_exceptions=list(_GONE)
        )
        try:
            wait.until(lambda _: condition())
        except TimeoutException as error:
            raise PageChanged(f"{otherwise} in {self._seconds:.0f} s") from error


class _Downloads:
    """The browser's own word on its downloads (WebDriver BiDi), and pages shown instead of one."""

    def __init__(self, driver: Chrome, into: Path) -> None:
        self._driver = driver
        self._events: queue.Queue[tuple[str, Any]] = queue.Queue()
        driver.browser.set_download_behavior(allowed=True, destination_folder=str(into))
        for event in ("download_will_begin", "download_end"):
            driver.browsing_context.add_event_handler(
                event, lambda params, event=event: self._events.put((event, params))
            )

    def wait(self, period: Period, seconds: float) -> tuple[str, Path]:
        """Return the name the site gave and where the file lies, once it is complete."""
        deadline = time.monotonic() + seconds
        marker = self._driver.find_elements(By.ID, portal.DOWNLOAD)
        name = ""
        while time.monotonic() < deadline:
            try:
                event, params = self._events.get(timeout=0.1)
            except queue.Empty:
                if not name and (not marker or _is_stale(marker[0])):
                    self._page_instead(period)
                continue
            if event == "download_will_begin":
                name = name or params.suggested_filename
                continue
            ended = params.download_params
            if ended.status != "complete" or not ended.filepath:
                raise DownloadCutShort(f"the download of {name!r} ended early ({ended.status})")
            path = Path(ended.filepath)
            if path.name != name:
                raise DownloadCutShort(f"{name!r} broke off; the browser's retry got {path.name!r}")
            return name, path
        raise DownloadCutShort(f"the download of {period} did not end in {seconds:.0f} s")

    def _page_instead(self, period: Period) -> None:
        if self._driver.current_url.startswith("chrome-error:"):
            raise DownloadCutShort(f"the connection broke while downloading {period}")
        _check_status(self._driver, f"downloading {period}")
        raise portal.unexpected_content(self._driver.page_source.encode(), portal.date_text(period))


@contextmanager
def _browser(user_agent: str) -> Iterator[Chrome]:
    """Start a browser with a profile of its own and leave nothing of it behind."""
    profile = tempfile.mkdtemp(prefix="quarry-browser-")
    options = ChromeOptions()
    options.enable_bidi = True
    for flag in (*_FLAGS, f"--user-data-dir={profile}", f"--user-agent={user_agent}"):
        options.add_argument(flag)
    binary, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
    if binary:
        options.binary_location = binary
    try:
        try:
            driver = Chrome(options, ChromeService(driver_path))
        except WebDriverException as error:
            raise SourceUnavailable(f"the browser did not start: {error.msg}") from error
        try:
            yield driver
        finally:
            # Ended from its own side, chromedriver wakes the thread that listens to it; quit()
            # alone closes the socket under that thread, which then sleeps for up to 10 s.
            driver.execute(Command.QUIT)
            driver.service.stop()
            driver.quit()
    finally:
        shutil.rmtree(profile, ignore_errors=True)


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except TimeoutException as error:
        raise SourceUnavailable(f"{url} did not load in time") from error
    except WebDriverException as error:
        raise SourceUnavailable(f"the browser could not use {url}: {error.msg}") from error


def _check_status(driver: Chrome, doing: str) -> None:
    status = driver.execute_script(
        "return performance.getEntriesByType('navigation')[0].responseStatus"
    )
    if isinstance(status, int) and status >= HTTPStatus.BAD_REQUEST:
        raise portal.refused(status, doing)


def _is_stale(element: WebElement) -> bool:
    try:
        element.is_enabled()
    except _GONE:
        return True
    return False

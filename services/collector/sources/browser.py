"""The portal through a real browser: headless Chromium driven by Selenium."""

import asyncio
import queue
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from selenium.common.exceptions import (
    NoSuchElementException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from contracts import Period, PortalSource
from services.collector.sources import portal
from services.collector.sources.chromium import BROWSER_FAILED, Chromium, reason
from services.collector.sources.source import DOWNLOAD_BYTES, Download
from shared.errors import DownloadCutShort, PageChanged, SourceUnavailable
from shared.log import log

_POLL_SECONDS = 0.05
# Selenium's own limit on a command comes after ours, so that ours tell what happened.
_COMMAND_MARGIN_SECONDS = 30
_GONE = (NoSuchElementException, StaleElementReferenceException)


@dataclass(frozen=True)
class BrowserPortal:
    """Downloads as a person would, one fresh browser per archive.

    `page_seconds` is how long a page may take, `download_seconds` how long the archive may, and
    `most_bytes` how large it may be. The browser gets `environment` with folders of its own for
    what it leaves behind; without it, ours as it is.
    """

    url: str
    user_agent: str
    page_seconds: float = 60
    download_seconds: float = 600
    most_bytes: int = DOWNLOAD_BYTES
    environment: Mapping[str, str] | None = None

    async def fetch(self, source: PortalSource, period: Period, into: Path) -> Download:
        """Choose product, quarter and format on the page, press the button, wait for the file.

        Cancelled, it ends the browser before it returns: no thread or process outlives it.
        """
        browser = Chromium(self.user_agent, self.environment)
        visit = asyncio.ensure_future(asyncio.to_thread(self._visit, browser, source, period, into))
        try:
            return await asyncio.shield(visit)
        except asyncio.CancelledError:
            browser.kill()
            await asyncio.gather(visit, return_exceptions=True)
            raise

    def _visit(
        self, browser: Chromium, source: PortalSource, period: Period, into: Path
    ) -> Download:
        longest = max(self.page_seconds, self.download_seconds) + _COMMAND_MARGIN_SECONDS
        with browser.running(longest) as driver:
            with _translated(self.url, SourceUnavailable(f"{self.url} did not load in time")):
                page = _Page(driver, self.page_seconds)
                downloads = _Downloads(driver, into, self.most_bytes)
                page.open(self.url)
                page.choose_product(source.product)
                page.choose_date(source, period)
                page.choose_format(source.file_format)
                button = page.control(portal.DOWNLOAD)
            late = f"the download of {period} did not end in {self.download_seconds:.0f} s"
            with _translated(self.url, DownloadCutShort(late)):
                name, path = downloads.press(button, period, self.download_seconds)
        portal.check_archive(path, name, source, period)
        log.info("archive_downloaded", archive=name, bytes=path.stat().st_size, through="browser")
        return Download(path, name, self.url)


class _Page:
    """The form's controls, each awaited by condition, never by a pause."""

    def __init__(self, driver: Chrome, seconds: float) -> None:
        self._driver = driver
        self._seconds = seconds
        driver.set_page_load_timeout(seconds)

    def open(self, url: str) -> None:
        self._driver.get(url)
        _check_answer(self._driver, "opening the page")

    def choose_product(self, product: str) -> None:
        """Select by text; the page posts back and only then has the product's dates."""
        box = self.control(portal.PRODUCTS)
        select = Select(box)
        texts = [option.text.strip() for option in select.options]
        if product not in texts:
            raise PageChanged(f"{portal.PRODUCTS!r} has no product {product!r}; it has {texts}")
        before = self._driver.find_elements(By.ID, portal.DATES)
        select.select_by_visible_text(product)

        def has_new_dates() -> bool:
            _check_answer(self._driver, "choosing the product")
            return self._has_dates() and not (before and not _is_stale(before[0]))

        try:
            self._wait(has_new_dates)
        except TimeoutException:
            if not _is_stale(box):
                raise SourceUnavailable(
                    f"the page did not post back in {self._seconds:.0f} s"
                ) from None
            raise PageChanged(f"no dates came in {portal.DATES!r} after the product") from None

    def choose_date(self, source: PortalSource, period: Period) -> None:
        select = Select(self.control(portal.DATES))
        texts = [option.text.strip() for option in select.options]
        wanted = portal.date_text(period)
        if wanted not in texts:
            raise portal.not_offered(source, period, texts)
        select.select_by_visible_text(wanted)

    def choose_format(self, file_format: str) -> None:
        """Always click, whatever is preselected: the site has changed its default before."""
        labels = self._driver.find_elements(By.TAG_NAME, "label")
        chosen = [label for label in labels if file_format in " ".join(label.text.split())]
        if not chosen:
            raise portal.no_format(file_format)
        radio = self.control(chosen[0].get_attribute("for") or "")
        radio.click()
        if not radio.is_selected():
            raise PageChanged(f"the format {file_format!r} cannot be selected")

    def control(self, element_id: str) -> WebElement:
        found = self._driver.find_elements(By.ID, element_id) if element_id else []
        if not found:
            raise portal.no_control(element_id)
        return found[0]

    def _has_dates(self) -> bool:
        return bool(self._driver.find_elements(By.CSS_SELECTOR, f"#{portal.DATES} option"))

    def _wait(self, condition: Callable[[], bool]) -> None:
        wait = WebDriverWait(
            self._driver, self._seconds, _POLL_SECONDS, ignored_exceptions=list(_GONE)
        )
        wait.until(lambda _: condition())


class _Downloads:
    """The browser's own word on its downloads (WebDriver BiDi), and pages shown instead of one."""

    def __init__(self, driver: Chrome, into: Path, most_bytes: int) -> None:
        self._driver = driver
        self._into = into
        self._most_bytes = most_bytes
        self._events: queue.Queue[tuple[str, Any]] = queue.Queue()
        driver.browser.set_download_behavior(allowed=True, destination_folder=str(into))
        for event in ("download_will_begin", "download_end"):
            driver.browsing_context.add_event_handler(
                event, lambda params, event=event: self._events.put((event, params))
            )

    def press(self, button: WebElement, period: Period, seconds: float) -> tuple[str, Path]:
        """Return the name the site gave and where the file lies, once it is complete.

        Raises:
            TimeoutException: it was not within `seconds`.
            UnsafeArchive: it is larger than it may be, complete or not.
        """
        deadline = time.monotonic() + seconds
        # The click itself waits for the site's first word.
        self._driver.set_page_load_timeout(seconds)
        button.click()
        name = ""
        while time.monotonic() < deadline:
            try:
                event, params = self._events.get(timeout=0.1)
            except queue.Empty:
                # Asked in any case: it also shows that the browser still is there.
                if _is_stale(button) and not name:
                    self._page_instead(period)
                self._check_size(period)
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
            self._check_size(period)
            return name, path
        raise TimeoutException

    def _check_size(self, period: Period) -> None:
        # Until it is complete the file has some other name.
        for path in self._into.iterdir():
            with suppress(FileNotFoundError):
                portal.check_size(path.stat().st_size, self._most_bytes, period)

    def _page_instead(self, period: Period) -> None:
        if _is_network_error(self._driver):
            raise DownloadCutShort(f"the connection broke while downloading {period}")
        _check_answer(self._driver, f"downloading {period}")
        raise portal.unexpected_content(self._driver.page_source.encode(), portal.date_text(period))


@contextmanager
def _translated(url: str, late: Exception) -> Iterator[None]:
    try:
        yield
    except TimeoutException as error:
        raise late from error
    except BROWSER_FAILED as error:
        raise SourceUnavailable(f"the browser could not use {url}: {reason(error)}") from error


def _check_answer(driver: Chrome, doing: str) -> None:
    if _is_network_error(driver):
        raise SourceUnavailable(f"{doing}: the connection broke")
    status = driver.execute_script(
        "return performance.getEntriesByType('navigation')[0]?.responseStatus"
    )
    if isinstance(status, int) and status >= HTTPStatus.BAD_REQUEST:
        raise portal.refused(status, doing)


def _is_network_error(driver: Chrome) -> bool:
    # The address bar shows what was asked for; only the document itself knows.
    address: str = driver.execute_script("return location.href")
    return address.startswith("chrome-error:")


def _is_stale(element: WebElement) -> bool:
    try:
        element.is_enabled()
    except _GONE:
        return True
    return False

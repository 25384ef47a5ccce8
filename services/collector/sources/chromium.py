"""One Chromium per visit: started in a session of its own, ended with all it started."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any, cast

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.remote.command import Command
from selenium.webdriver.remote.remote_connection import RemoteConnection
from urllib3.exceptions import HTTPError

from shared.errors import SourceUnavailable
from shared.leftovers import folder_prefix

# What Selenium raises when the browser, or the driver in between, is gone.
BROWSER_FAILED = (WebDriverException, HTTPError, ConnectionError)
_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # Lambda and root have no user namespaces to build the sandbox from
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1280,1000",
)


def reason(error: Exception) -> str:
    """Return what a browser's failure says of itself, without the driver's stack trace."""
    said = error.msg if isinstance(error, WebDriverException) else str(error)
    return said or type(error).__name__


class _NoMoreAnswers(dict[int, dict[str, str]]):
    """Answers every BiDi command, sent or to be sent, with an error."""

    def __contains__(self, _: object) -> bool:
        return True

    def pop(self, *_: Any) -> dict[str, str]:
        return {"error": "session ended", "message": "the browser was killed"}


class Chromium:
    """A browser with a new profile, to be run once; `kill` may be called from any thread."""

    def __init__(self, user_agent: str, environment: Mapping[str, str] | None = None) -> None:
        # Not in the folder of the download: Chromium's socket in here allows no long path.
        self._folder = Path(tempfile.mkdtemp(prefix=folder_prefix("browser")))
        self._killed = Event()
        self._driver: Chrome | None = None
        self._options = ChromeOptions()
        self._options.enable_bidi = True
        own = (f"--user-data-dir={self._folder}", f"--user-agent={user_agent}")
        for flag in (*_FLAGS, *own):
            self._options.add_argument(flag)
        if binary := shutil.which("chromium"):
            self._options.binary_location = binary
        self._service = ChromeService(
            shutil.which("chromedriver"),
            env=environment and {**environment, **_folders(self._folder)},
            popen_kw={"start_new_session": True},
        )

    @contextmanager
    def running(self, command_seconds: float) -> Iterator[Chrome]:
        """Start it and leave no process or file behind.

        `command_seconds` is the longest that one command to the browser may take.

        Raises:
            SourceUnavailable: it did not start, or was killed meanwhile.
        """
        try:
            driver = self._start()
            try:
                _connection(driver).client_config.timeout = command_seconds
                yield driver
            finally:
                self._end(driver)
        finally:
            self._kill_session()
            shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """End it at once, at the price of failing whatever is being done with it."""
        self._killed.set()
        self._kill_session()
        # Selenium does not notice that the other end is gone; it waits for its time to pass.
        bidi = self._driver and self._driver._websocket_connection  # noqa: SLF001  # no public way
        if bidi:
            bidi._messages = _NoMoreAnswers()  # noqa: SLF001  # no public way

    def _start(self) -> Chrome:
        try:
            driver = Chrome(self._options, self._service)
        except (*BROWSER_FAILED, OSError) as error:
            raise SourceUnavailable(f"the browser did not start: {reason(error)}") from error
        self._driver = driver
        if self._killed.is_set():
            self._end(driver)
            raise SourceUnavailable("the browser was ended before it was used")
        return driver

    def _end(self, driver: Chrome) -> None:
        # Not driver.quit(): it closes the event socket under the thread that reads it, which then
        # sleeps for up to 10 s. Ended from the browser's side, that thread ends by itself.
        with suppress(*BROWSER_FAILED):
            driver.execute(Command.QUIT)
        self._kill_session()
        _connection(driver).close()  # type: ignore[no-untyped-call]  # Selenium left it untyped

    def _kill_session(self) -> None:
        """Kill the driver and what is left of the browser, which is in the driver's group."""
        process = getattr(self._service, "process", None)
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _folders(folder: Path) -> dict[str, str]:
    """Return where Chromium is to leave temporary files, settings and crash dumps."""
    names = ("TMPDIR", "HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "BREAKPAD_DUMP_LOCATION")
    return dict.fromkeys(names, str(folder))


def _connection(driver: Chrome) -> RemoteConnection:
    return cast("RemoteConnection", driver.command_executor)

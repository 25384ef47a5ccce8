"""The console as tests use it: its process, its page in a browser, its plain requests."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).parents[1]
AXE = (ROOT / "tests" / "browser" / "axe.min.js").read_text()


class Console:
    """A console process and the browser that looks at it."""

    def __init__(self, address: str, browser: webdriver.Chrome) -> None:
        self.base, self.token = address.split("/?token=")
        self.browser = browser
        browser.get(address)

    def open(self, path: str) -> None:
        self.browser.get(self.base + path)

    def find(self, css: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, css)

    def texts(self, css: str) -> list[str]:
        # In one go: the page replaces parts of itself while we read.
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)"
        return list(self.browser.execute_script(script, css))

    def click(self, css: str) -> None:
        self.browser.execute_script("document.querySelector(arguments[0]).click()", css)

    def class_of(self, css: str) -> str:
        script = "return document.querySelector(arguments[0]).className"
        return str(self.browser.execute_script(script, css))

    def wait_for(self, css: str, text: str, seconds: float = 15) -> None:
        WebDriverWait(self.browser, seconds, poll_frequency=0.05).until(
            lambda _: any(text in one for one in self.texts(css)), f"{text!r} in {css}"
        )

    def serious_findings(self) -> list[str]:
        self.browser.execute_script(AXE)
        result = self.browser.execute_async_script(
            "axe.run(document).then(arguments[arguments.length - 1])"
        )
        return [
            f"{one['id']}: {one['nodes'][0]['html']}"
            for one in result["violations"]
            if one["impact"] in {"serious", "critical"}
        ]


@contextlib.contextmanager
def console_process(variables: dict[str, str], *options: str) -> Iterator[str]:
    process = subprocess.Popen(  # noqa: S603  # this interpreter, our command
        [sys.executable, "-m", "ops", "console", *options],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **variables},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        deadline = monotonic() + 20
        while monotonic() < deadline:
            with contextlib.suppress(OSError), urlopen(address, timeout=5):  # noqa: S310  # ours
                break
            sleep(0.05)
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def look_at(browser: webdriver.Chrome, *, width: int, dark: bool = False) -> None:
    metrics = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def keep_screenshot(browser: webdriver.Chrome, page: str, *, width: int, dark: bool) -> None:
    """Write pictures for the documentation where `QUARRY_SCREENSHOTS` names a folder."""
    folder = os.environ.get("QUARRY_SCREENSHOTS")
    if folder:
        name = re.sub(r"\W+", "-", page.partition("?")[0]).strip("-") or "overview"
        kind = "phone" if width < 500 else "dark" if dark else "light"
        browser.save_screenshot(f"{folder}/console-{name}-{kind}.png")


def put(console: Console, area: WebElement, text: str) -> None:
    console.browser.execute_script("arguments[0].value = arguments[1]", area, text)


def status(address: str, **headers: str) -> int:
    try:
        with urlopen(Request(address, headers=headers), timeout=10) as answer:  # noqa: S310  # ours
            return int(answer.status)
    except HTTPError as error:
        error.close()
        return error.code


def post(console: Console, path: str, **headers: str) -> int:
    port = console.base.rsplit(":", 1)[1]
    cookie = {"Cookie": f"quarry_console_{port}={console.token}", **headers}
    request = Request(console.base + path, b"", cookie, method="POST")  # noqa: S310  # ours
    try:
        with urlopen(request, timeout=10) as answer:  # noqa: S310  # ours
            return int(answer.status)
    except HTTPError as error:
        error.close()
        return error.code

"""Running the stand-in: in this process for tests, or as a program."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn

from contracts import Period
from ops.portal.catalogue import Catalogue
from ops.portal.faults import FaultName
from ops.portal.site import PAGE_PATH, Site

_START_SECONDS = 10


@dataclass(frozen=True)
class Portal:
    """A running stand-in, as a test sees it."""

    root: str

    @property
    def url(self) -> str:
        """The download page."""
        return f"{self.root}{PAGE_PATH}"

    def fault(self, name: FaultName, *, times: int | None = None, detail: str = "") -> None:
        """Spoil what comes next."""
        body = {"name": name, "times": times, "detail": detail}
        httpx.post(f"{self.root}/_faults", json=body).raise_for_status()

    def restate(self, period: Period) -> None:
        """Publish a made-up quarter again with other values for some banks."""
        httpx.post(f"{self.root}/_restate", json={"period": str(period)}).raise_for_status()

    def requests(self) -> list[dict[str, Any]]:
        """Return what was asked for so far."""
        log: list[dict[str, Any]] = httpx.get(f"{self.root}/_requests").json()
        return log

    def heal(self) -> None:
        """End any fault."""
        httpx.delete(f"{self.root}/_faults").raise_for_status()


def server(catalogue: Catalogue, port: int) -> uvicorn.Server:
    """Return a server on 127.0.0.1; port 0 takes a free one."""
    site = Site(catalogue)
    config = uvicorn.Config(
        site.application(),
        host="127.0.0.1",
        port=port,
        http=site.connections.protocol(),
        log_level="warning",
        # Visitors that hang do not keep it from ending.
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


@contextmanager
def running_portal(catalogue: Catalogue) -> Iterator[Portal]:
    """Serve `catalogue` on a free port until the block ends."""
    serving = server(catalogue, 0)
    thread = threading.Thread(target=serving.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + _START_SECONDS
    while not serving.started:
        if time.monotonic() > deadline:
            raise TimeoutError("the portal stand-in did not start")
        time.sleep(0.01)
    port = serving.servers[0].sockets[0].getsockname()[1]
    try:
        yield Portal(f"http://127.0.0.1:{port}")
    finally:
        serving.should_exit = True
        thread.join()

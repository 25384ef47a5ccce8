"""The stand-in as a web application: the form's postbacks, the downloads, and control for tests.

`POST /_faults {"name": …, "times": …, "detail": …}` spoils what comes next, `DELETE /_faults` ends
it; `POST /_restate {"period": "2013Q1"}` publishes a made-up quarter again with other values;
`GET /_requests` lists what was asked for, by whom and when.
"""

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from contracts import Period
from ops.portal.catalogue import Catalogue
from ops.portal.connections import Connections, gone
from ops.portal.faults import FAULTS, Fault, Faults
from ops.portal.page import PREFIX, SINGLE_PERIOD, download_page, error_page

PAGE_PATH = "/public/pws/downloadbulkdata.aspx"
_BUTTON = f"{PREFIX}TabStrip1$Download_0"
_CHUNK_BYTES = 64 * 1024
_SLOW_PIECES = 10
_HANGING_SECONDS = 30


@dataclass
class Site:
    """One running stand-in."""

    catalogue: Catalogue
    connections: Connections = field(default_factory=Connections)
    faults: Faults = field(default_factory=Faults)
    requests: list[dict[str, Any]] = field(default_factory=list)
    key: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    def application(self) -> Starlette:
        """Return the ASGI application. Paths ignore case, as on IIS."""
        return Starlette(
            routes=[
                Route("/_faults", self.switch_fault, methods=["POST", "DELETE"]),
                Route("/_restate", self.restate, methods=["POST"]),
                Route("/_requests", self.list_requests, methods=["GET"]),
                Route("/{path:path}", self.serve, methods=["GET", "POST"]),
            ]
        )

    async def serve(self, request: Request) -> Response:
        """Answer a visitor."""
        form = await request.form() if request.method == "POST" else FormData()
        self._remember(request, form)
        if fault := self.faults.use("hanging"):
            with suppress(TimeoutError):
                seconds = float(fault.detail or _HANGING_SECONDS)
                await asyncio.wait_for(gone(request), seconds)
        if self.faults.use("forbidden"):
            return HTMLResponse("<html><body>Access denied.</body></html>", 403)
        if self.faults.use("unavailable"):
            return HTMLResponse("<html><body>Service unavailable.</body></html>", 503)
        if request.url.path.lower() != PAGE_PATH:
            return HTMLResponse(error_page(), 404)
        return await self._post_back(request, form) if form else self._page(product=None)

    async def _post_back(self, request: Request, form: FormData) -> Response:
        product = str(form.get(f"{PREFIX}ListBox1", ""))
        downloads = _BUTTON in form
        # A date can be sent back only from a page that showed the product's dates.
        origins = {product} if downloads else {product, ""}
        if not self._came_from_us(form, origins):
            return HTMLResponse(error_page(), 500)
        if downloads:
            return await self._download(request, form, product)
        return self._page(product=product)

    async def switch_fault(self, request: Request) -> Response:
        """Switch a fault on or off."""
        if request.method == "DELETE":
            self.faults.active = None
            return Response(status_code=204)
        wanted = Fault(**await request.json())
        if wanted.name not in FAULTS:
            return JSONResponse({"error": f"known faults: {', '.join(FAULTS)}"}, 400)
        self.faults.active = wanted
        return Response(status_code=204)

    async def restate(self, request: Request) -> Response:
        """Publish a quarter again: the next download has other values for some banks."""
        period = Period.parse((await request.json())["period"])
        times = self.catalogue.restate(period)
        if times is None:
            return JSONResponse({"error": f"{period} is not a made-up quarter"}, 409)
        return JSONResponse({"restated": times})

    async def list_requests(self, _: Request) -> Response:
        """Return what visitors asked for."""
        return JSONResponse(self.requests)

    def _page(self, *, product: str | None) -> Response:
        fault = self.faults.active if self.faults.is_on("missing_control") else None
        # The site preselected Tab Delimited in 2019 and XBRL since.
        xbrl = self.faults.is_on("xbrl_default")
        return HTMLResponse(
            download_page(
                product=product,
                dates=self._dates() if product == SINGLE_PERIOD else [],
                chosen_format="XBRLRadiobutton" if xbrl else "TSVRadioButton",
                view_state=self._view_state(product or ""),
                missing=fault.detail if fault else "",
            )
        )

    def _dates(self) -> list[tuple[str, str]]:
        """Values are opaque: neither the date nor its place in the list."""
        periods = self.catalogue.periods()
        if self.faults.is_on("missing_date"):
            hidden = self.faults.active.detail if self.faults.active else ""
            periods = [period for period in periods if str(period) != hidden]
        return [(_opaque(period), f"{period.end:%m/%d/%Y}") for period in periods]

    async def _download(self, request: Request, form: FormData, product: str) -> Response:
        value = str(form.get(f"{PREFIX}DatesDropDownList", ""))
        chosen = {_opaque(period): period for period in self.catalogue.periods()}.get(value)
        if product != SINGLE_PERIOD or chosen is None or self.faults.use("html_error"):
            return HTMLResponse(error_page())
        if form.get(f"{PREFIX}FormatType") != "TSVRadioButton":
            name = f"FFIEC CDR Call Bulk XBRL {chosen.end:%m%d%Y}.zip"
            return _attachment(name, b"PK\x05\x06" + bytes(18))
        served = chosen
        if self.faults.use("wrong_quarter"):
            served = next(period for period in self.catalogue.periods() if period != chosen)
        path = await asyncio.to_thread(self.catalogue.archive, served)
        name = f"FFIEC CDR Call Bulk All Schedules {chosen.end:%m%d%Y}.zip"
        return self._spoilt(request, name, path) or _file(name, path)

    def _spoilt(self, request: Request, name: str, path: Path) -> Response | None:
        if self.faults.use("not_a_zip"):
            return _attachment(name, b"This is not what you asked for.")
        if self.faults.use("damaged_zip"):
            data = bytearray(path.read_bytes())
            data[len(data) // 3 : len(data) // 3 + 64] = bytes(64)
            return _attachment(name, bytes(data))
        if self.faults.use("cut_off"):
            return self._half_of(request, name, path.read_bytes())
        fault = self.faults.use("slow")
        if fault:
            return _attachment(name, path.read_bytes(), seconds=float(fault.detail or 5))
        return None

    def _half_of(self, request: Request, name: str, data: bytes) -> Response:
        """Promise all of `data`, send half of it and hang up."""

        async def pieces() -> AsyncIterator[bytes]:
            yield data[: len(data) // 2]
            await self.connections.hang_up(request)

        return StreamingResponse(pieces(), headers=_headers(name, len(data)))

    def _view_state(self, product: str) -> str:
        return hmac.new(self.key, product.encode(), hashlib.sha256).hexdigest()

    def _came_from_us(self, form: FormData, origins: set[str]) -> bool:
        """Require the hidden fields of a page of this process that showed one of `origins`."""
        state = str(form.get("__VIEWSTATE", ""))
        known = {self._view_state(product) for product in origins}
        return state in known and form.get("__EVENTVALIDATION") == state[::-1]

    def _remember(self, request: Request, form: FormData) -> None:
        self.requests.append(
            {
                "at": time.time(),
                "method": request.method,
                "path": request.url.path,
                "user_agent": request.headers.get("user-agent", ""),
                "download": _BUTTON in form,
                "format": form.get(f"{PREFIX}FormatType"),
            }
        )


def _opaque(period: Period) -> str:
    # Distinct for 400 quarters, and out of order on purpose.
    return str((period.index * 137) % 1009)


def _headers(name: str, size: int) -> dict[str, str]:
    return {
        "content-disposition": f"attachment; filename=\"{name}\"; filename*=UTF-8''{quote(name)}",
        "content-type": "application/octet-stream",
        "content-length": str(size),
    }


def _file(name: str, path: Path) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        with path.open("rb") as file:
            while piece := file.read(_CHUNK_BYTES):
                yield piece

    return StreamingResponse(pieces(), headers=_headers(name, path.stat().st_size))


def _attachment(name: str, data: bytes, *, seconds: float = 0) -> StreamingResponse:
    """Send `data` over `seconds`."""
    step = max(1, -(-len(data) // _SLOW_PIECES))

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), step):
            yield data[start : start + step]
            await asyncio.sleep(seconds / _SLOW_PIECES)

    return StreamingResponse(pieces(), headers=_headers(name, len(data)))

"""The portal through plain HTTP, for machines with no browser."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from contracts import Period, PortalSource
from services.collector.sources import portal
from services.collector.sources.form import Form, read_form
from services.collector.sources.source import DOWNLOAD_BYTES, Download
from shared.errors import DownloadCutShort, PageChanged, SourceUnavailable
from shared.log import log

_FILENAME = re.compile(r'filename="?([^";]+)"?')
_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class HttpPortal:
    """Sends what the page's form would send.

    `page_seconds` is how long a page may take, `download_seconds` how long the archive may, and
    `most_bytes` how large it may be.
    """

    url: str
    user_agent: str
    page_seconds: float = 60
    download_seconds: float = 600
    most_bytes: int = DOWNLOAD_BYTES

    async def fetch(self, source: PortalSource, period: Period, into: Path) -> Download:
        """Post product, quarter and format as the browser would, and stream the answer."""
        async with httpx.AsyncClient(
            headers={"User-Agent": self.user_agent},
            timeout=None,  # noqa: S113  # whole pages and archives have deadlines, see below
            follow_redirects=True,
        ) as client:
            async with self._page_loads():
                form = _form(await client.get(self.url), "opening the page")
            choice = _choose_product(form, source.product)
            async with self._page_loads():
                form = _form(await client.post(self.url, data=choice), "choosing the product")
            fields = _choose_archive(form, source, period)
            async with self._archive_arrives(period):
                name, path = await self._download(client, fields, period, into)
        portal.check_archive(path, name, source, period)
        log.info("archive_downloaded", archive=name, bytes=path.stat().st_size, through="http")
        return Download(path, name, self.url)

    async def _download(
        self, client: httpx.AsyncClient, fields: dict[str, str], period: Period, into: Path
    ) -> tuple[str, Path]:
        path = into / "download"
        async with client.stream("POST", self.url, data=fields) as response:
            _check_status(response, f"downloading {period}")
            disposition = _FILENAME.search(response.headers.get("content-disposition", ""))
            promised = int(response.headers.get("content-length", 0))
            portal.check_size(promised, self.most_bytes, period)
            with path.open("wb") as file:
                async for chunk in response.aiter_bytes(_CHUNK_BYTES):
                    if disposition is None:
                        raise portal.unexpected_content(chunk, portal.date_text(period))
                    portal.check_size(file.tell() + len(chunk), self.most_bytes, period)
                    file.write(chunk)
        if disposition is None:
            raise portal.unexpected_content(b"", portal.date_text(period))
        return disposition[1], path

    @asynccontextmanager
    async def _page_loads(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self.page_seconds):
                yield
        except TimeoutError as error:
            raise SourceUnavailable(f"{self.url} did not load in time") from error
        except httpx.HTTPError as error:
            raise SourceUnavailable(
                f"{self.url} did not answer: {type(error).__name__} {error}"
            ) from error

    @asynccontextmanager
    async def _archive_arrives(self, period: Period) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self.download_seconds):
                yield
        except TimeoutError as error:
            raise DownloadCutShort(
                f"the download of {period} did not end in {self.download_seconds:.0f} s"
            ) from error
        except httpx.ConnectError as error:
            raise SourceUnavailable(f"{self.url} did not answer: {error}") from error
        except httpx.HTTPError as error:
            raise DownloadCutShort(
                f"the connection broke while downloading {period}: {type(error).__name__} {error}"
            ) from error


def _choose_product(form: Form, product: str) -> dict[str, str]:
    name = form.name_of(portal.PRODUCTS)
    products = form.options.get(portal.PRODUCTS, {})
    if product not in products:
        raise PageChanged(
            f"{portal.PRODUCTS!r} has no product {product!r}; it has {list(products)}"
        )
    return {**form.hidden, "__EVENTTARGET": name, name: products[product]}


def _choose_archive(form: Form, source: PortalSource, period: Period) -> dict[str, str]:
    dates_name = form.name_of(portal.DATES)
    dates = form.options.get(portal.DATES, {})
    if not dates:
        raise PageChanged(f"no dates came in {portal.DATES!r} after the product")
    wanted = portal.date_text(period)
    if wanted not in dates:
        raise portal.not_offered(source, period, list(dates))
    radio = form.labelled(source.file_format)
    return {
        **_choose_product(form, source.product),
        "__EVENTTARGET": "",
        dates_name: dates[wanted],
        form.name_of(radio): form.values[radio],
        form.name_of(portal.DOWNLOAD): form.values[portal.DOWNLOAD],
    }


def _form(response: httpx.Response, doing: str) -> Form:
    _check_status(response, doing)
    return read_form(response.text)


def _check_status(response: httpx.Response, doing: str) -> None:
    if response.is_error:
        raise portal.refused(response.status_code, doing)

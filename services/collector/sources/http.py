"""The portal through plain HTTP, for machines with no browser."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from contracts import Period, PortalSource
from services.collector.sources import portal
from services.collector.sources.form import Form, read_form
from services.collector.sources.source import Download
from shared.errors import DownloadCutShort, PageChanged, SourceUnavailable
from shared.log import log

_FILENAME = re.compile(r'filename="?([^";]+)"?')
_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class HttpPortal:
    """Sends what the page's form would send.

    `page_seconds` is how long a page may take, `download_seconds` how long between two pieces of
    the archive.
    """

    url: str
    user_agent: str
    page_seconds: float = 60
    download_seconds: float = 600

    async def fetch(self, source: PortalSource, period: Period, into: Path) -> Download:
        """Post product, quarter and format as the browser would, and stream the answer."""
        timeout = httpx.Timeout(self.page_seconds, read=self.download_seconds)
        headers = {"User-Agent": self.user_agent}
        async with (
            _translated(self.url),
            httpx.AsyncClient(headers=headers, timeout=timeout, follow_redirects=True) as client,
        ):
            form = _form(await client.get(self.url), "opening the page")
            choice = _choose_product(form, source.product)
            form = _form(await client.post(self.url, data=choice), "choosing the product")
            fields = _choose_archive(form, source, period)
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
            if disposition is None:
                start = await response.aread()
                raise portal.unexpected_content(start, portal.date_text(period))
            with path.open("wb") as file:
                async for chunk in response.aiter_bytes(_CHUNK_BYTES):
                    file.write(chunk)
        return disposition[1], path


def _choose_product(form: Form, product: str) -> dict[str, str]:
    name = form.name_of(portal.PRODUCTS)
    products = form.options.get(portal.PRODUCTS, {})
    if product not in products:
        raise PageChanged(
            f"{portal.PRODUCTS!r} has no product {product!r}; it has {list(products)}"
        )
    return {**form.hidden, "__EVENTTARGET": name, name: products[product]}


def _choose_archive(form: Form, source: PortalSource, period: Period) -> dict[str, str]:
    dates = form.options.get(portal.DATES, {})
    wanted = portal.date_text(period)
    dates_name = form.name_of(portal.DATES)
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


@asynccontextmanager
async def _translated(url: str) -> AsyncIterator[None]:
    try:
        yield
    except httpx.RemoteProtocolError as error:
        raise DownloadCutShort(f"{url} closed the connection early: {error}") from error
    except httpx.HTTPError as error:
        raise SourceUnavailable(f"{url} did not answer: {type(error).__name__} {error}") from error

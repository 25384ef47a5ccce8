"""What is known about the bulk-download page, shared by both ways of using it.

The page is an ASP.NET form: choosing a product posts back and brings the dates; the option values
are opaque, so everything is chosen by its text.
Source: https://cdr.ffiec.gov/public/pws/downloadbulkdata.aspx
"""

from datetime import datetime
from http import HTTPStatus
from pathlib import Path

from contracts import Period, PortalSource
from services.collector.archive import ZIP_START
from shared.errors import (
    PageChanged,
    PeriodNotOffered,
    SourceUnavailable,
    UnexpectedDownload,
    UnsafeArchive,
)

REAL_PORTAL = "https://cdr.ffiec.gov/public/pws/downloadbulkdata.aspx"
PRODUCTS = "ListBox1"
DATES = "DatesDropDownList"
DOWNLOAD = "Download_0"
# Telling an error page from a damaged zip needs no more than this.
_LOOK_BYTES = 4096
_HTML = (b"<!doctype html", b"<html")


def date_text(period: Period) -> str:
    """Return the quarter as the page writes it: `03/31/2013`."""
    return f"{period.end:%m/%d/%Y}"


def archive_name(source: PortalSource, period: Period) -> str:
    """Return what the page calls the zip of a quarter."""
    return f"{source.archive_prefix}{period.end:%m%d%Y}.zip"


def no_control(element_id: str) -> PageChanged:
    """Say that a control is gone."""
    return PageChanged(f"the page has no control {element_id!r}; was it redesigned?")


def no_format(text: str) -> PageChanged:
    """Say that a format is gone."""
    return PageChanged(f"the page has no format {text!r}; was it redesigned?")


def not_offered(source: PortalSource, period: Period, dates: list[str]) -> PeriodNotOffered:
    """Say which dates there are instead, and what to do."""
    known = sorted((date for date in dates if _is_date(date)), key=_as_date)
    span = f"{known[0]} to {known[-1]}" if known else "no dates"
    return PeriodNotOffered(
        f"{date_text(period)} is not among the {len(known)} dates of {source.product!r} ({span}); "
        "send the message again when the regulator has published it"
    )


def check_archive(path: Path, name: str, source: PortalSource, period: Period) -> None:
    """Refuse what is not the promised zip of the promised quarter.

    Raises:
        UnexpectedDownload: an error page, another file, or another quarter.
    """
    with path.open("rb") as file:
        start = file.read(_LOOK_BYTES)
    if not start.startswith(ZIP_START):
        raise unexpected_content(start, date_text(period))
    expected = archive_name(source, period)
    if name != expected:
        raise UnexpectedDownload(f"asked for {expected!r}, the site sent {name!r}")


def check_size(found: int, most: int, period: Period) -> None:
    """Refuse a download that is, or promises to become, larger than it may be.

    Raises:
        UnsafeArchive: it is.
    """
    if found > most:
        raise UnsafeArchive(
            f"the download of {period} has {found} bytes or more, {most} are allowed; look at the "
            "site, and if quarters really are that large now raise QUARRY_DOWNLOAD_BYTES"
        )


def unexpected_content(start: bytes, wanted: str) -> UnexpectedDownload:
    """Say what came instead of a zip."""
    if start.lstrip().lower().startswith(_HTML):
        return UnexpectedDownload(f"the site answered the download of {wanted} with an HTML page")
    return UnexpectedDownload(
        f"the download of {wanted} is not a zip: it starts with {start[:8]!r}"
    )


def refused(status: int, doing: str) -> SourceUnavailable:
    """Turn an HTTP status of 400 and above into its error."""
    hint = ""
    if status == HTTPStatus.FORBIDDEN:
        hint = "; it may be refusing automated use, see QUARRY_USER_AGENT"
    return SourceUnavailable(f"{doing}: the site answered {status}{hint}")


def _is_date(text: str) -> bool:
    try:
        _as_date(text)
    except ValueError:
        return False
    return True


def _as_date(text: str) -> datetime:
    return datetime.strptime(text, "%m/%d/%Y")  # noqa: DTZ007  # a report date has no time zone

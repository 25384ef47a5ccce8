"""Rendering: templates with everything escaped, and the words for times and numbers."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from ops.console.drawing import highlighted

_NONE = "\N{EN DASH}"
_LARGE = (("G", 1e9), ("M", 1e6), ("k", 1e3))
_SMALL = 10_000
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


class Page:
    """The templates of one console."""

    def __init__(self, templates: Path, *, env: str, csrf: str, write: bool) -> None:
        self._jinja = Environment(
            loader=FileSystemLoader(templates),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._jinja.globals.update(env=env, csrf=csrf, write=write, soon=soon)
        self._jinja.filters.update(
            ago=ago,
            seconds=seconds,
            moment=moment,
            clock=clock,
            highlighted=highlighted,
            number=number,
            gauge=gauge,
        )

    def text(self, template: str, **values: Any) -> str:
        """Return a template's HTML."""
        return self._jinja.get_template(template).render(now=datetime.now(UTC), **values)

    def answer(self, template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
        """Return a template as an answer."""
        return HTMLResponse(self.text(template, **values), status)


def ago(then: datetime | None, now: datetime) -> str:
    """Say how long it is from `then` to `now`, in one unit; negative spans are to come."""
    return "" if then is None else seconds((now - then).total_seconds())


def soon(then: datetime | None, now: datetime) -> bool:
    """Say whether it is less than two days to `then`."""
    return then is not None and then - now < timedelta(days=2)


def seconds(length: float | None) -> str:
    """Say a length of time: 0.4 s, 12 s, 3 min, 5 h, 2 d."""
    if length is None:
        return _NONE
    for unit, size in _UNITS:
        if abs(length) >= size:
            return f"{abs(length) / size:.0f} {unit}"
    short = 10
    return f"{abs(length):.1f} s" if abs(length) < short else f"{abs(length):.0f} s"


def moment(at: datetime | None) -> str:
    """Write a moment for people, in UTC."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def clock(at: datetime, now: datetime) -> str:
    """Write a moment in little room, in UTC: today's by the time alone."""
    at = at.astimezone(UTC)
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M}"


def number(value: float | None) -> str:
    """Write a count with thin spaces between thousands."""
    return _NONE if value is None else f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def gauge(value: float | None, name: str) -> str:
    """Write a metric's value in little room, with its unit: 12, 1.3 s, 46 MB, 2.1 M."""
    if value is None:
        return _NONE
    if name.endswith("Seconds"):
        return seconds(value)
    sign = "B" if name == "Bytes" else ""
    if value >= _SMALL:
        unit, size = next(one for one in _LARGE if value >= one[1])
        return f"{value / size:.3g}\N{NARROW NO-BREAK SPACE}{unit}{sign}"
    return f"{value:.0f} {sign}".rstrip()

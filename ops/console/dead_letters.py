"""The dead-letter pages: groups, one message, edit, plan, replay, purge, audit."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.datastructures import FormData, QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ops.dlq import deeds
from ops.dlq.edit import InvalidEdit
from ops.dlq.filters import Filter, InvalidFilter, moment, select
from ops.dlq.groups import grouped
from ops.dlq.journal import Tally
from ops.dlq.message import ParkedMessage
from ops.dlq.replay import Pace
from ops.dlq.store import Look

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ops.console.app import Console

_FRESH = timedelta(minutes=1)
_PAGE = 100
_SLICES = 24
_FIELDS = ("service", "dataset", "period", "error", "kind", "since", "until", "where")


async def queues(request: Request) -> HTMLResponse:
    """Show the queues, the groups and the messages that fit the filter."""
    console: Console = request.app.state.console
    looks = await console.bench.look(max_age=_FRESH)
    template = "dlq_found.html" if "HX-Request" in request.headers else "dlq.html"
    return console.page.answer(template, **await _listing(console, request.query_params, looks))


async def look(request: Request) -> HTMLResponse:
    """Look into the queues anew; messages stay where they are."""
    console: Console = request.app.state.console
    looks = await console.bench.look()
    form = await request.form()
    return console.page.answer("dlq_found.html", **await _listing(console, form, looks))


async def message(request: Request) -> Response:
    """Show one message whole."""
    console: Console = request.app.state.console
    found = await _find(console, request)
    if found is None:
        return _missing(console)
    return console.page.answer("message.html", here="dlq", message=found, said=None, draft=None)


async def edit(request: Request) -> Response:
    """Keep an edited body if its service would read it."""
    console: Console = request.app.state.console
    found = await _find(console, request)
    if found is None:
        return _missing(console)
    form = await request.form()
    body = str(form.get("body", "")).strip()
    try:
        found = await deeds.edit(console.bench, found, body, why=_why(form))
    except InvalidEdit as problem:
        return console.page.answer(
            "message_body.html", 422, message=found, said=str(problem), draft=body
        )
    return console.page.answer("message_body.html", message=found, said="Kept.", draft=None)


async def plan(request: Request) -> Response:
    """Say what a replay of the messages that fit the filter would do."""
    console: Console = request.app.state.console
    form = await request.form()
    try:
        wanted = filter_of(form)
        messages = await console.bench.parked(wanted)
    except InvalidFilter as problem:
        return console.page.answer("refused.html", 422, said=str(problem))
    if not messages:
        return console.page.answer("refused.html", 422, said="No message fits this filter.")
    page = _page(form, len(messages))
    made = await console.bench.plan(
        messages[(page - 1) * _PAGE : page * _PAGE],
        selection=wanted.describe() + (f", page {page}" if len(messages) > _PAGE else ""),
        rows=bool(form.get("rows")),
    )
    console.work.keep(made)
    return console.page.answer("plan.html", plan=made, left=len(messages) - len(made.messages))


async def replay(request: Request) -> Response:
    """Begin the replay of a plan that was looked at."""
    console: Console = request.app.state.console
    form = await request.form()
    made = console.work.plans.get(str(form.get("plan_id")))
    if made is None:
        return console.page.answer("refused.html", 422, said="Make the plan again.")
    messages = await console.bench.parked()

    async def deed(show: "Callable[[Tally], None]") -> deeds.Result:
        return await deeds.replay(
            console.bench,
            made,
            messages,
            why=_why(form),
            pace=Pace(_rate(form)),
            allow_reorder=bool(form.get("allow_reorder")),
            progress=show,
        )

    return _begin(console, "replay", deed)


async def purge(request: Request) -> Response:
    """Begin to archive and delete the messages that fit the filter."""
    console: Console = request.app.state.console
    form = await request.form()
    wanted = filter_of(form)
    messages = await console.bench.parked(wanted)

    async def deed(show: "Callable[[Tally], None]") -> deeds.Result:
        return await deeds.purge(
            console.bench,
            messages,
            why=_why(form),
            selection=wanted.describe(),
            pace=Pace(_rate(form)),
            progress=show,
        )

    return _begin(console, "purge", deed)


async def resume(request: Request) -> Response:
    """Take up a replay or purge that was cut off."""
    console: Console = request.app.state.console
    form = await request.form()
    action_id = str(form.get("action_id"))

    async def deed(show: "Callable[[Tally], None]") -> deeds.Result:
        return await deeds.resume(console.bench, action_id, pace=Pace(_rate(form)), progress=show)

    return _begin(console, "resume", deed)


async def progress(request: Request) -> Response:
    """Show how far a replay or purge is; the page asks again until it has ended."""
    console: Console = request.app.state.console
    work_id = request.path_params["work_id"]
    job = console.work.jobs.get(work_id)
    if job is None:
        return _missing(console)
    return console.page.answer("progress.html", job=job, work_id=work_id)


async def audit(request: Request) -> HTMLResponse:
    """Show who changed what, newest first."""
    console: Console = request.app.state.console
    entries = await console.bench.audit.entries(limit=100)
    return console.page.answer("audit.html", here="dlq", entries=entries)


def filter_of(given: "QueryParams | FormData") -> Filter:
    """Read the filter's fields.

    Raises:
        InvalidFilter: a time cannot be read.
    """
    now = datetime.now(UTC)
    said = {name: str(given.get(name) or "").strip() or None for name in _FIELDS}
    times = {
        name: moment(text, now) if (text := said[name]) else None for name in ("since", "until")
    }
    ids = tuple(str(one) for one in given.getlist("id"))
    return Filter(**{**said, **times, "ids": ids})  # type: ignore[arg-type]  # the fields' own types


async def _listing(
    console: "Console", given: "QueryParams | FormData", looks: list[Look]
) -> dict[str, Any]:
    everything = await console.bench.parked()
    problem = None
    try:
        found = select(everything, filter_of(given))
    except InvalidFilter as error:
        found, problem = [], str(error)
    now = datetime.now(UTC)
    page = _page(given, len(found))
    asked = {name: str(given.get(name) or "") for name in _FIELDS}
    groups = [
        (group, group.counts(now=now, span=timedelta(hours=24), buckets=_SLICES))
        for group in grouped(everything)
    ]
    return {
        "here": "dlq",
        "looks": looks,
        "oldest": _first(everything, lambda one: one.sent_at),
        "expiry": _first(everything, lambda one: one.expires_at),
        "groups": groups,
        "messages": found[(page - 1) * _PAGE : page * _PAGE],
        "count": len(found),
        "page": page,
        "pages": _pages(len(found)),
        "query": urlencode({name: text for name, text in asked.items() if text}),
        "total": len(everything),
        "given": asked,
        "problem": problem,
        "unfinished": console.bench.journal.unfinished(),
    }


def _first(
    messages: list[ParkedMessage], moment_of: "Callable[[ParkedMessage], datetime]"
) -> dict[str, datetime]:
    found: dict[str, datetime] = {}
    for one in messages:
        at = moment_of(one)
        found[one.queue] = min(at, found.get(one.queue, at))
    return found


def _pages(count: int) -> int:
    return max(1, -(-count // _PAGE))


def _page(given: "QueryParams | FormData", count: int) -> int:
    """Return which page of `count` messages is asked for, from 1."""
    text = str(given.get("page") or "1")
    return max(1, min(_pages(count), int(text) if text.isdecimal() else 1))


async def _find(console: "Console", request: Request) -> ParkedMessage | None:
    queue, message_id = request.path_params["queue"], request.path_params["message_id"]
    for one in await console.bench.parked():
        if (one.queue, one.message_id) == (queue, message_id):
            return one
    return None


def _begin(
    console: "Console",
    doing: str,
    deed: "Callable[[Callable[[Tally], None]], Awaitable[deeds.Result]]",
) -> HTMLResponse:
    work_id = console.work.start(doing, deed)
    return console.page.answer("progress.html", job=console.work.jobs[work_id], work_id=work_id)


def _missing(console: "Console") -> HTMLResponse:
    said = "This message is no longer parked: it was replayed, purged, or taken by someone else."
    return console.page.answer("missing.html", 404, here="dlq", said=said)


def _why(form: FormData) -> str:
    return str(form.get("why") or "").strip() or "from the console"


def _rate(form: FormData) -> float:
    try:
        return min(3000.0, max(0.02, float(str(form.get("rate") or "10"))))
    except ValueError:
        return 10.0

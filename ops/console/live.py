"""The live pages: the path, the heat map, the runs."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from contracts import Period
from ops.console.drawing import committed_loads, is_committed_load, timeline
from ops.console.heat import heat_maps, strips
from ops.console.picture import stations
from ops.console.pulse import Moment
from ops.runs import runs_of
from shared.metrics import SHOWN

if TYPE_CHECKING:
    from ops.console.app import Console

_RUNS_ON_FRONT = 8


async def overview(request: Request) -> HTMLResponse:
    """Show everything at once, as it is now."""
    console: Console = request.app.state.console
    moment = await console.pulse.now()
    return console.page.answer("overview.html", here="overview", **_fragments(console, moment))


async def events(request: Request) -> StreamingResponse:
    """Send the parts of the overview whenever they change."""
    console: Console = request.app.state.console

    async def stream() -> AsyncIterator[str]:
        said: dict[str, str] = {}
        async for moment in console.pulse.beats():
            for name, html in _fragments(console, moment).items():
                if said.get(name) != html:
                    said[name] = html
                    yield f"event: {name}\n" + _data(html)
            yield f"event: beat\ndata: {moment.at:%H:%M:%S} UTC\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


async def runs(request: Request) -> HTMLResponse:
    """List all runs."""
    console: Console = request.app.state.console
    moment = await console.pulse.now()
    return console.page.answer("runs.html", here="runs", runs=moment.runs)


async def run(request: Request) -> Response:
    """Show one run step by step."""
    console: Console = request.app.state.console
    run_id = request.path_params["run_id"]
    found = runs_of(await console.access.run_log.steps(run_id))
    if not found:
        said = f"There is no run {run_id}."
        return console.page.answer("missing.html", 404, here="runs", said=said)
    lanes, length = timeline(found[0].steps, datetime.now(UTC))
    loads = committed_loads(found[0].steps)
    return console.page.answer(
        "run.html",
        here="runs",
        run=found[0],
        lanes=lanes,
        length=length,
        steps=[step for step in found[0].steps if not is_committed_load(step)],
        loads=loads,
    )


def _fragments(console: "Console", moment: Moment) -> dict[str, str]:
    steps = moment.steps
    today = Period.of(moment.at.date())
    page = console.page
    return {
        "path": page.text(
            "path.html",
            stations=stations(moment.depths, steps, moment.reading, moment.at),
            metrics=SHOWN,
        ),
        "heat": page.text("heat.html", maps=heat_maps(steps, today), strips=strips(steps)),
        "runs": page.text("run_list.html", runs=moment.runs[:_RUNS_ON_FRONT]),
        "rows": page.text("growth.html", growths=moment.growths),
    }


def _data(html: str) -> str:
    return "".join(f"data: {line}\n" for line in html.splitlines()) + "\n"

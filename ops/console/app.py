"""The console's web application: what is at which address."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aioboto3
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from infra.names import Environment
from ops.access import Access, open_access
from ops.console import dead_letters, live, rows
from ops.console.cloudwatch import CloudWatch
from ops.console.guard import Guard, csrf_value
from ops.console.page import Page
from ops.console.pulse import Pulse
from ops.console.work import Work
from ops.dlq.workbench import Workbench, open_workbench

_HERE = Path(__file__).parent
# On AWS metrics are by the minute, and each reading costs.
_CLOUDWATCH_SECONDS = 60.0


@dataclass(frozen=True)
class Console:
    """What the pages draw on, open as long as the application runs."""

    access: Access
    bench: Workbench
    pulse: Pulse
    work: Work
    page: Page


def build_console(
    env: Environment, folder: Path, *, token: str, write: bool, every_seconds: float = 1.0
) -> Starlette:
    """Return the application; its workbench store lies in `folder`."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with (
            open_access(env) as access,
            aioboto3.Session().client("cloudwatch") as metrics,
        ):
            every = timedelta(seconds=every_seconds if env == "local" else _CLOUDWATCH_SECONDS)
            cloudwatch = CloudWatch(metrics, access.names, every=every)
            with open_workbench(access, folder) as bench:
                console = Console(
                    access=access,
                    bench=bench,
                    pulse=Pulse(access, bench.queues, cloudwatch, every_seconds),
                    work=Work(),
                    page=Page(_HERE / "templates", env=env, csrf=csrf_value(token), write=write),
                )
                app.state.console = console
                yield
                await console.pulse.stop()
                await console.work.stop()

    return Starlette(
        lifespan=lifespan,
        middleware=[Middleware(Guard, token=token, write=write)],
        routes=[
            Route("/", live.overview),
            Route("/live", live.events),
            Route("/runs", live.runs),
            Route("/runs/{run_id}", live.run),
            Route("/dlq", dead_letters.queues),
            Route("/dlq/look", dead_letters.look, methods=["POST"]),
            Route("/dlq/plan", dead_letters.plan, methods=["POST"]),
            Route("/dlq/replay", dead_letters.replay, methods=["POST"]),
            Route("/dlq/purge", dead_letters.purge, methods=["POST"]),
            Route("/dlq/resume", dead_letters.resume, methods=["POST"]),
            Route("/dlq/audit", dead_letters.audit),
            Route("/dlq/work/{work_id}", dead_letters.progress),
            Route("/dlq/{queue}/{message_id}", dead_letters.message),
            Route("/dlq/{queue}/{message_id}/edit", dead_letters.edit, methods=["POST"]),
            Route("/quarantine", rows.quarantine),
            Route("/row", rows.row),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
        ],
    )

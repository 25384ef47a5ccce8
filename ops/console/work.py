"""Replays and purges started from a page: they go on when the page is closed."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import uuid4

from ops.dlq.deeds import Result
from ops.dlq.journal import Tally
from ops.dlq.plan import Plan

_KEPT_PLANS = 50


@dataclass
class Job:
    """One replay or purge. `problem` says why it was refused or broke off."""

    doing: str
    tally: Tally = field(default_factory=Tally)
    result: Result | None = None
    problem: str | None = None

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        return self.result is not None or self.problem is not None


class Work:
    """Jobs by id, and the plans that people are looking at."""

    def __init__(self) -> None:
        self.plans: dict[str, Plan] = {}
        self.jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def keep(self, plan: Plan) -> None:
        """Keep a plan for the replay that may follow."""
        self.plans[plan.plan_id] = plan
        for old in list(self.plans)[:-_KEPT_PLANS]:
            del self.plans[old]

    def start(
        self, doing: str, deed: Callable[[Callable[[Tally], None]], Awaitable[Result]]
    ) -> str:
        """Begin a deed, which is given where to tell its progress; returns the job's id."""
        job = Job(doing)
        work_id = uuid4().hex
        self.jobs[work_id] = job

        def show(tally: Tally) -> None:
            job.tally = tally

        async def run() -> None:
            try:
                job.result = await deed(show)
                job.tally = job.result.tally
            except Exception as error:  # noqa: BLE001  # whatever it is, the page has to tell it
                job.problem = f"{type(error).__name__}: {error}"

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return work_id

    async def stop(self) -> None:
        """Break off what runs; the journal knows how far it was."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

"""Following one run until every load is committed or parked, or nothing moves any more."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from infra.names import SERVICES
from ops.queue_depths import read_depths
from ops.run_progress import RunProgress, fold
from ops.target import Clients, Target
from shared.errors import TransientError
from shared.run_log import DynamoRunLog

Outcome = Literal["finished", "parked", "stalled", "timeout"]

_POLL_SECONDS = 0.4
_LOOK_AT_QUEUES_EVERY_SECONDS = 2.0
_UNREACHED_SECONDS = 15.0
# AWS counts messages approximately and with delay; the emulator counts exactly.
_IDLE_SECONDS_ON_AWS = 90.0
_IDLE_SECONDS_LOCALLY = 10.0


@dataclass(frozen=True)
class Ended:
    """How the watching ended; `problem` says what to do when not every load is committed."""

    outcome: Outcome
    progress: RunProgress
    problem: str | None = None


@dataclass
class Watch:
    """One run being followed. `parked_before` are the messages in the DLQs when it began.

    `dead_parts` names local processes that do not run; on AWS there are none to look at. A run
    with work missing is stalled when all queues have been empty for `idle_seconds`, look by look:
    an emulator that was too busy to answer was not idle.
    """

    target: Target
    clients: Clients
    run_id: str
    parked_before: int
    dead_parts: Callable[[], Sequence[str]]
    idle_seconds: float
    _quiet_since: float = 0
    _looked: float = 0
    _quiet_seconds: float = 0

    async def follow(self, show: Callable[[RunProgress], None], *, timeout_seconds: float) -> Ended:
        """Call `show` with each new state of the run until it ends."""
        run_log = DynamoRunLog(self.clients.dynamodb, self.target.names.runs_table)
        progress = fold(self.run_id, ())
        began = self._quiet_since = time.monotonic()
        while time.monotonic() - began < timeout_seconds:
            try:
                progress = fold(self.run_id, await run_log.steps(self.run_id))
                problem = await self._problem(progress)
            except TransientError as error:
                problem = self._not_running() or f"not reached for the moment: {error}"
                if time.monotonic() - self._quiet_since < _UNREACHED_SECONDS:
                    await asyncio.sleep(_POLL_SECONDS)
                    continue
            show(progress)
            if progress.state == "finished":
                return Ended("finished", progress)
            if progress.state == "parked":
                return Ended("parked", progress, _parked_sentence(progress))
            if problem:
                return Ended("stalled", progress, problem)
            await asyncio.sleep(_POLL_SECONDS)
        return Ended("timeout", progress, f"not finished after {timeout_seconds:.0f} s; {_LOOK}")

    def _not_running(self) -> str | None:
        dead = self.dead_parts()
        return f"{', '.join(dead)} not running; bring back with: quarry up" if dead else None

    async def _problem(self, progress: RunProgress) -> str | None:
        """Say why nothing will happen any more, or None; the queues are not asked every time."""
        now = time.monotonic()
        if now - self._looked < _LOOK_AT_QUEUES_EVERY_SECONDS:
            return None
        since = min(now - self._looked, _LOOK_AT_QUEUES_EVERY_SECONDS) if self._looked else 0.0
        depths = await read_depths(self.clients.sqs, self.target)
        self._looked = time.monotonic()
        self._quiet_seconds += since
        if any(depth.busy for depth in depths.values()):
            self._quiet_since, self._quiet_seconds = self._looked, 0
        if dead := self._not_running():
            return dead
        if self._quiet_seconds < self.idle_seconds:
            return None
        new = sum(depth.parked for depth in depths.values()) - self.parked_before
        where = [
            f"{self.target.names.dead_letter_queue(service)} holds {depth.parked}"
            for service, depth in depths.items()
            if depth.parked
        ]
        told = f"; {new} messages were parked unread: {', '.join(where)}" if new > 0 else ""
        return f"nothing is queued or worked on, but {_missing(progress)}{told}; {_LOOK}"


_LOOK = "look with: quarry status"


def _parked_sentence(progress: RunProgress) -> str:
    first = progress.parked[0]
    more = f" (and {len(progress.parked) - 1} more)" if len(progress.parked) > 1 else ""
    return f"{first.stage} parked {first.part}{more}: {first.reason}"


def _missing(progress: RunProgress) -> str:
    if progress.state == "waiting":
        return "the generator has not reported"
    for folder in progress.folders:
        for stage in SERVICES[1:]:
            found = getattr(folder, stage)
            if found.state not in {"done", "parked"}:
                return f"the {stage} has not finished {folder.part}"
    return "the generator has not finished"


async def begin_watch(
    target: Target, clients: Clients, run_id: str, dead_parts: Callable[[], Sequence[str]]
) -> Watch:
    """Return a watch for a run that is about to be sent."""
    depths = await read_depths(clients.sqs, target)
    return Watch(
        target=target,
        clients=clients,
        run_id=run_id,
        parked_before=sum(depth.parked for depth in depths.values()),
        dead_parts=dead_parts,
        idle_seconds=_IDLE_SECONDS_LOCALLY if target.endpoint_url else _IDLE_SECONDS_ON_AWS,
    )

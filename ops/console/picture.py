"""The live picture of the path, from queue depths and the run log. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts import StepRecord
from infra.names import SERVICES, Service
from ops.console.cloudwatch import Reading
from ops.console.gauges import Gauges, from_run_log

_AFTER: dict[str, Service] = {
    "generator": "collector",
    "collector": "processor",
    "processor": "loader",
}


@dataclass(frozen=True)
class Depths:
    """Messages of one service's queue and of its dead-letter queue."""

    waiting: int
    in_flight: int
    parked: int


@dataclass(frozen=True)
class Station:
    """One service as the picture shows it.

    `oldest` is since when the oldest message has been in the queue: as CloudWatch has it, or since
    the step that sent it.
    """

    service: Service
    depths: Depths
    working: int
    oldest: datetime | None
    gauges: Gauges
    last_error: StepRecord | None

    @property
    def mood(self) -> str:
        """`parked` where something lies dead, `busy` where there is work, else `idle`."""
        if self.depths.parked:
            return "parked"
        return "busy" if self.depths.waiting or self.depths.in_flight or self.working else "idle"


def stations(
    depths: Mapping[Service, Depths], steps: Sequence[StepRecord], reading: Reading, now: datetime
) -> list[Station]:
    """Return the four services in the order of the path."""
    waiting = _waiting_since(steps) | dict(reading.oldest)
    gauges = from_run_log(steps, now) | dict(reading.gauges)
    found = []
    for service in SERVICES:
        own = [step for step in steps if step.stage == service]
        errors = [step for step in own if step.reason]
        there = depths[service].waiting or depths[service].in_flight
        found.append(
            Station(
                service=service,
                depths=depths[service],
                working=min(
                    depths[service].in_flight, sum(step.status == "started" for step in own)
                ),
                oldest=waiting.get(service) if there else None,
                gauges=gauges[service],
                last_error=max(errors, key=lambda step: step.started_at, default=None),
            )
        )
    return found


def _waiting_since(steps: Sequence[StepRecord]) -> dict[Service, datetime]:
    """Say when the oldest message was sent that its service has not begun with."""
    begun = {(step.run_id, step.stage, step.part) for step in steps}
    waiting: dict[Service, datetime] = {}
    for step in steps:
        following = _AFTER.get(step.stage)
        if step.status != "done" or step.finished_at is None or following is None:
            continue
        parts = step.expects or (step.part,)
        if any((step.run_id, following, part) not in begun for part in parts):
            waiting[following] = min(step.finished_at, waiting.get(following, step.finished_at))
    return waiting

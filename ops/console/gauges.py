"""What each service did in the last five minutes, by the metric names of `shared/metrics.py`. Pure.

CloudWatch has it where the services run on AWS; the run log says the same of the latest attempt of
each step, which is all there is locally.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Literal

from contracts import StepRecord
from infra.names import SERVICES, Service
from shared.metrics import SHOWN, values_of

WINDOW = timedelta(minutes=5)


@dataclass(frozen=True)
class Gauges:
    """Of one service: sums, the median of `Seconds`, the largest `AgeSeconds`."""

    values: Mapping[str, float] = field(default_factory=dict)
    source: Literal["CloudWatch", "run log"] = "run log"


def summed_up(found: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Sum each metric's values up as the dashboard does; one without values is left out."""
    ways: dict[str, Callable[[Sequence[float]], float]]
    ways = {"Sum": sum, "p50": median, "Maximum": max}
    return {name: ways[way](found[name]) for name, way in SHOWN.items() if found.get(name)}


def from_run_log(steps: Iterable[StepRecord], now: datetime) -> dict[Service, Gauges]:
    """Read the metrics of the steps that ended within the window."""
    found: dict[str, dict[str, list[float]]] = {service: defaultdict(list) for service in SERVICES}
    for step in steps:
        if step.finished_at is not None and now - step.finished_at < WINDOW:
            for name, value in values_of(step).items():
                found[step.stage][name].append(value)
    return {service: Gauges(summed_up(found[service])) for service in SERVICES}

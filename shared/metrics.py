"""What CloudWatch is told of each message, as embedded metrics in the log (EMF)."""

import os
from collections.abc import Mapping
from typing import Literal

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from contracts import Stage, StepRecord

# The counts of a step that are metrics too, by their name there.
_COUNTED = {"files": "Files", "bytes": "Bytes", "rows": "Rows", "quarantined": "Quarantined"}
_UNITS = {
    "Seconds": MetricUnit.Seconds,
    "AgeSeconds": MetricUnit.Seconds,
    "Bytes": MetricUnit.Bytes,
}
# What the console and the dashboard show of each service, and how they sum it up over time.
SHOWN: Mapping[str, Literal["Sum", "p50", "Maximum"]] = {
    "Done": "Sum",
    "Seconds": "p50",
    "AgeSeconds": "Maximum",
    "Rows": "Sum",
    "Retried": "Sum",
    "Parked": "Sum",
    "Quarantined": "Sum",
    "Bytes": "Sum",
}
_STATUS = {"done": "Done", "retrying": "Retried", "parked": "Parked"}


def measure(step: StepRecord, *, error: Exception | None = None) -> None:
    """Print one step's metrics.

    Names, all by service: `Done`, `Retried`, `Parked` (messages), `Seconds` of the attempt,
    `AgeSeconds` of the message when the attempt began, `Files`, `Bytes`, `Rows`, `Quarantined`;
    and `Failures` by service and kind of error.
    """
    metrics = EphemeralMetrics(namespace=_namespace(), service=step.stage)
    for name, value in values_of(step).items():
        metrics.add_metric(name, _UNITS.get(name, MetricUnit.Count), value)
    for name, text in (("run_id", step.run_id), ("part", step.part), ("trace", step.trace)):
        if text is not None:
            metrics.add_metadata(name, text)
    metrics.flush_metrics()
    if error is not None:
        count_failure(step.stage, error)


def values_of(step: StepRecord) -> dict[str, float]:
    """Return the metrics of a step that has ended, by their names."""
    values: dict[str, float] = {_STATUS[step.status]: 1, "Seconds": step.seconds or 0}
    if step.sent_at is not None:
        values["AgeSeconds"] = max(0.0, (step.started_at - step.sent_at).total_seconds())
    counted = {_COUNTED[name]: count for name, count in step.counts.items() if name in _COUNTED}
    return values | counted


def count_failure(service: Stage, error: Exception) -> None:
    """Print that an attempt failed, by service and kind of error."""
    metrics = EphemeralMetrics(namespace=_namespace(), service=service)
    metrics.add_dimension("error", type(error).__name__)
    metrics.add_metric("Failures", MetricUnit.Count, 1)
    metrics.flush_metrics()


def _namespace() -> str:
    return os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "Quarry")

"""What CloudWatch is told of each message, as embedded metrics in the log (EMF)."""

import os
from datetime import datetime

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from contracts import Stage, StepRecord

# The counts of a step that are metrics too, by their name there.
_COUNTED = {
    "files": ("Files", MetricUnit.Count),
    "bytes": ("Bytes", MetricUnit.Bytes),
    "rows": ("Rows", MetricUnit.Count),
    "quarantined": ("Quarantined", MetricUnit.Count),
}
_STATUS = {"done": "Done", "retrying": "Retried", "parked": "Parked"}


def measure(step: StepRecord, *, sent_at: datetime, error: Exception | None = None) -> None:
    """Print one step's metrics; `sent_at` is when its message was made.

    Names, all by service: `Done`, `Retried`, `Parked` (messages), `Seconds` of the attempt,
    `AgeSeconds` of the message when the attempt began, `Files`, `Bytes`, `Rows`, `Quarantined`;
    and `Failures` by service and kind of error.
    """
    metrics = EphemeralMetrics(namespace=_namespace(), service=step.stage)
    metrics.add_metric(_STATUS[step.status], MetricUnit.Count, 1)
    metrics.add_metric("Seconds", MetricUnit.Seconds, step.seconds or 0)
    age = max(0.0, (step.started_at - sent_at).total_seconds())
    metrics.add_metric("AgeSeconds", MetricUnit.Seconds, age)
    for name, count in step.counts.items():
        if name in _COUNTED:
            metric, unit = _COUNTED[name]
            metrics.add_metric(metric, unit, count)
    for name, value in (("run_id", step.run_id), ("part", step.part), ("trace", step.trace)):
        if value is not None:
            metrics.add_metadata(name, value)
    metrics.flush_metrics()
    if error is not None:
        count_failure(step.stage, error)


def count_failure(service: Stage, error: Exception) -> None:
    """Print that an attempt failed, by service and kind of error."""
    metrics = EphemeralMetrics(namespace=_namespace(), service=service)
    metrics.add_dimension("error", type(error).__name__)
    metrics.add_metric("Failures", MetricUnit.Count, 1)
    metrics.flush_metrics()


def _namespace() -> str:
    return os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "Quarry")

"""One page that shows where messages are: per service waiting, oldest, parked, failed."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.names import SERVICES, Names

_MINUTES = 5
# What the console shows too: the services' own metrics, as `shared/metrics.py` names them.
_OWN_METRICS = {
    "Done": "Sum",
    "Retried": "Sum",
    "Parked": "Sum",
    "Seconds": "p50",
    "AgeSeconds": "Maximum",
    "Rows": "Sum",
    "Quarantined": "Sum",
}


def add_dashboard(scope: Construct, names: Names) -> None:
    """Add the environment's dashboard; it finds its metrics by name, so no stack is tied to it."""
    dashboard = cloudwatch.Dashboard(
        scope, "Dashboard", dashboard_name=names.prefix, default_interval=Duration.days(1)
    )
    for service in SERVICES:
        queue, parked = names.queue(service), names.dead_letter_queue(service)
        waiting = _metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue)
        age = _metric("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", queue)
        dead = _metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", parked)
        function = names.function(service)
        outcomes = [
            _metric("AWS/Lambda", name, "FunctionName", function, statistic="Sum")
            for name in ("Invocations", "Errors", "Throttles")
        ]
        own = {
            name: _metric(names.metrics_namespace, name, "service", service, statistic=statistic)
            for name, statistic in _OWN_METRICS.items()
        }
        duration = _metric("AWS/Lambda", "Duration", "FunctionName", function)
        dashboard.add_widgets(
            cloudwatch.GraphWidget(title=f"{service}: waiting, parked", left=[waiting, dead]),
            cloudwatch.GraphWidget(title=f"{service}: oldest message (s)", left=[age]),
            cloudwatch.GraphWidget(title=f"{service}: invocations", left=outcomes),
            cloudwatch.GraphWidget(title=f"{service}: slowest (ms)", left=[duration]),
            cloudwatch.GraphWidget(
                title=f"{service}: messages", left=[own["Done"], own["Retried"], own["Parked"]]
            ),
            cloudwatch.GraphWidget(
                title=f"{service}: seconds each, age at work",
                left=[own["Seconds"], own["AgeSeconds"]],
            ),
            cloudwatch.GraphWidget(
                title=f"{service}: rows, quarantined", left=[own["Rows"], own["Quarantined"]]
            ),
        )


def _metric(
    namespace: str, name: str, dimension: str, value: str, statistic: str = "Maximum"
) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=name,
        dimensions_map={dimension: value},
        statistic=statistic,
        period=Duration.minutes(_MINUTES),
    )

"""One page that shows where messages are: per service waiting, oldest, parked, failed."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.names import SERVICES, Names

_MINUTES = 5


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
        duration = _metric("AWS/Lambda", "Duration", "FunctionName", function)
        dashboard.add_widgets(
            cloudwatch.GraphWidget(title=f"{service}: waiting, parked", left=[waiting, dead]),
            cloudwatch.GraphWidget(title=f"{service}: oldest message (s)", left=[age]),
            cloudwatch.GraphWidget(title=f"{service}: invocations", left=outcomes),
            cloudwatch.GraphWidget(title=f"{service}: slowest (ms)", left=[duration]),
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

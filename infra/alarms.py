"""Alarms: each goes to the alarm topic; its description is a heading of docs/operations.md."""

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.names import Names


def alarm(
    scope: Construct,
    construct_id: str,
    *,
    name: str,
    description: str,
    metric: cloudwatch.Metric,
    above: float,
    names: Names,
) -> None:
    """Tell the operators when `metric` is above a number once; silence is not a breach."""
    made = cloudwatch.Alarm(
        scope,
        f"{construct_id}Alarm",
        alarm_name=name,
        alarm_description=f"{description}: {name}. Runbook: docs/operations.md.",
        metric=metric,
        threshold=above,
        evaluation_periods=1,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
    )
    topic = sns.Topic.from_topic_arn(made, "Topic", names.arn("sns", names.alarm_topic))
    made.add_alarm_action(actions.SnsAction(topic))


def alarm_on_parked(
    scope: Construct,
    queue_name: str,
    queue: sqs.Queue,
    names: Names,
    *,
    description: str = "Messages are parked",
) -> None:
    """Tell the operators as soon as anything lies in a dead-letter queue."""
    alarm(
        scope,
        "Parked",
        name=f"{queue_name}-not-empty",
        description=description,
        metric=queue.metric_approximate_number_of_messages_visible(
            period=Duration.minutes(1), statistic="Maximum"
        ),
        above=0,
        names=names,
    )

"""Requests that go to the generator queue by themselves, by EventBridge Scheduler."""

import json

from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.names import Names
from infra.permissions import allow
from infra.settings import ScheduleSettings
from infra.timetable import scheduled_requests

_LATE_MINUTES = 15
_RETRY_SECONDS = 6 * 3600


def add_schedules(
    scope: Construct,
    *,
    names: Names,
    schedule: ScheduleSettings,
    queue: sqs.Queue,
    undelivered: sqs.Queue,
) -> None:
    """Add the quarterly, monthly and incremental requests.

    One that cannot be delivered goes to the generator's own dead-letter queue: its body is a
    request, so it is looked at and replayed like any other.
    """
    role = iam.Role(
        scope,
        "ScheduleRole",
        assumed_by=iam.ServicePrincipal(
            "scheduler.amazonaws.com",
            conditions={"StringEquals": {"aws:SourceAccount": names.account}},
        ),
        description="Sends scheduled requests to the generator queue.",
    )
    role.add_to_policy(allow(["sqs:SendMessage"], [queue.queue_arn, undelivered.queue_arn]))
    for name, expression, request in scheduled_requests(schedule):
        scheduler.CfnSchedule(
            scope,
            "Schedule" + "".join(word.capitalize() for word in name.replace("_", "-").split("-")),
            name=f"{names.prefix}-{name}",
            schedule_expression=expression,
            schedule_expression_timezone="UTC",
            state="ENABLED" if schedule.enabled else "DISABLED",
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(
                mode="FLEXIBLE", maximum_window_in_minutes=_LATE_MINUTES
            )
            if expression.startswith("cron")
            else scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            target=scheduler.CfnSchedule.TargetProperty(
                arn=queue.queue_arn,
                role_arn=role.role_arn,
                input=json.dumps(request),
                dead_letter_config=scheduler.CfnSchedule.DeadLetterConfigProperty(
                    arn=undelivered.queue_arn
                ),
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                    maximum_event_age_in_seconds=_RETRY_SECONDS, maximum_retry_attempts=10
                ),
            ),
        )

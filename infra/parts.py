"""The one construct that gives a service its queue, dead-letter queue and alarms."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.names import Names, Service, is_fifo
from infra.settings import Settings


class ServiceQueue(Construct):
    """A service's queue, where its messages are parked, and who is told about it."""

    def __init__(
        self, scope: Construct, *, service: Service, names: Names, settings: Settings
    ) -> None:
        super().__init__(scope, "Messages")
        fifo = True if is_fifo(service) else None  # CloudFormation refuses an explicit false
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            queue_name=names.dead_letter_queue(service),
            fifo=fifo,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(settings.dead_letter_retention_days),
            removal_policy=_removal(settings),
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            queue_name=names.queue(service),
            fifo=fifo,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(settings.message_retention_days),
            visibility_timeout=Duration.seconds(settings.services[service].visibility_seconds),
            receive_message_wait_time=Duration.seconds(20),
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letters, max_receive_count=settings.max_receive_count
            ),
            removal_policy=_removal(settings),
        )
        for name, queue in (("queue-url", self.queue), ("dlq-url", self.dead_letters)):
            ssm.StringParameter(
                self,
                "QueueUrl" if name == "queue-url" else "DeadLettersUrl",
                parameter_name=names.parameter(service, name),
                string_value=queue.queue_url,
            )
        alarm_on_parked(self, names.dead_letter_queue(service), self.dead_letters, names)
        _notify(
            cloudwatch.Alarm(
                self,
                "OldestMessageAlarm",
                alarm_name=f"{names.queue(service)}-oldest-message",
                alarm_description=(
                    f"{names.queue(service)}: a message has waited too long. "
                    "Runbook: docs/operations.md, 'Oldest message'."
                ),
                metric=self.queue.metric_approximate_age_of_oldest_message(
                    period=Duration.minutes(5), statistic="Maximum"
                ),
                threshold=settings.services[service].oldest_message_alarm_seconds,
                evaluation_periods=1,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            ),
            names,
        )


def alarm_on_parked(scope: Construct, queue_name: str, queue: sqs.IQueue, names: Names) -> None:
    """Tell the operators as soon as anything lies in a dead-letter queue."""
    _notify(
        cloudwatch.Alarm(
            scope,
            "ParkedAlarm",
            alarm_name=f"{queue_name}-not-empty",
            alarm_description=(
                f"{queue_name} holds parked messages. Runbook: docs/operations.md, 'Parked'."
            ),
            metric=queue.metric_approximate_number_of_messages_visible(
                period=Duration.minutes(1), statistic="Maximum"
            ),
            threshold=0,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        ),
        names,
    )


def _notify(alarm: cloudwatch.Alarm, names: Names) -> None:
    topic = sns.Topic.from_topic_arn(alarm, "Topic", names.arn("sns", names.alarm_topic))
    alarm.add_alarm_action(actions.SnsAction(topic))


def _removal(settings: Settings) -> RemovalPolicy:
    return RemovalPolicy.RETAIN if settings.keep_data else RemovalPolicy.DESTROY

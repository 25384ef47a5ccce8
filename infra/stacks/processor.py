from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.alarms import alarm_on_parked
from infra.names import FOLDER_COMPLETE_SOURCE, FOLDER_COMPLETE_TYPE, Names
from infra.parts import QueuedService
from infra.permissions import read_lake, write_lake
from infra.settings import Settings


class ProcessorStack(Stack):
    """The processor, and the rule that turns a complete folder into its message."""

    def __init__(
        self, scope: Construct, stack_id: str, *, names: Names, settings: Settings
    ) -> None:
        super().__init__(scope, stack_id)
        service = QueuedService(
            self,
            service="processor",
            names=names,
            settings=settings,
            # The registry holds what all processors agree on, packets say where rows lie, and a
            # repeated message reads what the first one wrote to clean.
            statements=[
                *read_lake(names, "raw", "accepted", "packets", "registry", "clean"),
                *write_lake(names, "clean", "registry"),
            ],
        )
        undelivered = sqs.Queue(
            self,
            "Undelivered",
            queue_name=names.folder_complete_rule_dlq,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(settings.dead_letter_retention_days),
            removal_policy=RemovalPolicy.DESTROY,
        )
        alarm_on_parked(
            self,
            names.folder_complete_rule_dlq,
            undelivered,
            names,
            description="Events are not delivered",
        )
        events.Rule(
            self,
            "FolderComplete",
            rule_name=names.folder_complete_rule,
            description="A collected folder goes to the processor; the body is the envelope.",
            event_bus=events.EventBus.from_event_bus_name(self, "Bus", names.bus),
            event_pattern=events.EventPattern(
                source=[FOLDER_COMPLETE_SOURCE], detail_type=[FOLDER_COMPLETE_TYPE]
            ),
            targets=[
                targets.SqsQueue(
                    service.queue,
                    message=events.RuleTargetInput.from_event_path("$.detail"),
                    dead_letter_queue=undelivered,
                    retry_attempts=settings.rule_retry_attempts,
                    max_event_age=Duration.hours(settings.rule_max_event_hours),
                )
            ],
        )

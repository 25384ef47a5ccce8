"""A file dropped in the lake asks for its dataset: S3 tells EventBridge, a rule the generator."""

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from contracts.datasets import all_datasets
from infra.names import INBOX, Names
from infra.settings import Settings


def add_dropped_rules(
    scope: Construct,
    *,
    names: Names,
    settings: Settings,
    queue: sqs.Queue,
    undelivered: sqs.Queue,
) -> None:
    """Add a rule for each dataset that is dropped, on the default bus, where S3 puts its events.

    The request names the dataset and no file: the collector takes whatever waits in the inbox, so
    that an event that comes twice, or not at all, changes nothing.
    """
    dropped = sorted(
        name for name, dataset in all_datasets().items() if dataset.source.kind == "s3_drop"
    )
    for name in dropped:
        events.Rule(
            scope,
            "Dropped" + "".join(word.capitalize() for word in name.split("_")),
            rule_name=names.dropped_rule(name),
            description=f"A file in the inbox of the lake asks for {name}.",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [names.bucket]},
                    "object": {"key": [{"prefix": f"{INBOX}/"}]},
                },
            ),
            targets=[
                targets.SqsQueue(
                    queue,
                    message=events.RuleTargetInput.from_object({"dataset": name}),
                    dead_letter_queue=undelivered,
                    retry_attempts=settings.rule_retry_attempts,
                    max_event_age=Duration.hours(settings.rule_max_event_hours),
                )
            ],
        )

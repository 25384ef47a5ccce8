from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.names import Names
from infra.settings import Settings


class SharedStack(Stack):
    """What no single service owns: lake, bus, run log, alarm topic."""

    def __init__(
        self, scope: Construct, stack_id: str, *, names: Names, settings: Settings
    ) -> None:
        super().__init__(scope, stack_id)
        removal = RemovalPolicy.RETAIN if settings.keep_data else RemovalPolicy.DESTROY
        self._lake(names, settings, removal)
        self._bus(names, settings)
        dynamodb.Table(
            self,
            "Runs",
            table_name=names.runs_table,
            partition_key=dynamodb.Attribute(name="run_id", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="step", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute="expires_at",
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=settings.keep_data
            ),
            removal_policy=removal,
        )
        self._alarm_topic(names, settings)

    def _lake(self, names: Names, settings: Settings, removal: RemovalPolicy) -> None:
        s3.Bucket(
            self,
            "Lake",
            bucket_name=names.bucket,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=settings.keep_data,
            removal_policy=removal,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="abandoned-uploads", abort_incomplete_multipart_upload_after=Duration.days(1)
                ),
                s3.LifecycleRule(
                    id="raw-is-kept-cheaply",
                    prefix="raw/",
                    transitions=[
                        s3.Transition(
                            storage_class=s3.StorageClass.GLACIER_INSTANT_RETRIEVAL,
                            transition_after=Duration.days(settings.raw_archive_after_days),
                        )
                    ],
                ),
                s3.LifecycleRule(
                    id="clean-can-be-made-again",
                    prefix="clean/",
                    expiration=Duration.days(settings.clean_expires_after_days),
                ),
            ],
        )

    def _bus(self, names: Names, settings: Settings) -> None:
        bus = events.EventBus(self, "Bus", event_bus_name=names.bus)
        if settings.archive_days:
            bus.archive(
                "Archive",
                archive_name=names.archive,
                description="Every event, for replay.",
                event_pattern=events.EventPattern(source=events.Match.prefix("quarry.")),
                retention=Duration.days(settings.archive_days),
            )

    def _alarm_topic(self, names: Names, settings: Settings) -> None:
        topic = sns.Topic(self, "Alarms", topic_name=names.alarm_topic, enforce_ssl=True)
        if settings.alarm_email:
            topic.add_subscription(subscriptions.EmailSubscription(settings.alarm_email))
        ssm.StringParameter(
            self,
            "AlarmTopicArn",
            parameter_name=names.parameter("alarm-topic-arn"),
            string_value=topic.topic_arn,
        )

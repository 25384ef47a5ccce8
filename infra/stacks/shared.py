from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.dashboard import add_dashboard
from infra.names import SERVICES, Names, Service
from infra.settings import Settings

_IMAGES_KEPT = 10


class SharedStack(Stack):
    """What no single service owns: lake, bus, run log, alarm topic, image repositories."""

    def __init__(
        self, scope: Construct, stack_id: str, *, names: Names, settings: Settings
    ) -> None:
        super().__init__(scope, stack_id, termination_protection=settings.keep_data)
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
        if any(service.function or service.task for service in settings.services.values()):
            for service in SERVICES:
                self._images(service, names, removal)
            add_dashboard(self, names)

    def _lake(self, names: Names, settings: Settings, removal: RemovalPolicy) -> None:
        lake = s3.Bucket(
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
                    id="abandoned-uploads",
                    abort_incomplete_multipart_upload_after=Duration.days(1),
                    noncurrent_version_expiration=(
                        Duration.days(settings.raw_archive_after_days)
                        if settings.keep_data
                        else None
                    ),
                ),
                *(
                    s3.LifecycleRule(
                        id=f"{folder}-is-kept-cheaply",
                        prefix=f"{folder}/",
                        transitions=[
                            s3.Transition(
                                storage_class=s3.StorageClass.GLACIER_INSTANT_RETRIEVAL,
                                transition_after=Duration.days(settings.raw_archive_after_days),
                            )
                        ],
                    )
                    for folder in ("raw", "accepted")
                ),
                s3.LifecycleRule(
                    id="clean-can-be-made-again",
                    prefix="clean/",
                    expiration=Duration.days(settings.clean_expires_after_days),
                ),
            ],
        )

        bucket = lake.node.default_child
        if not isinstance(bucket, s3.CfnBucket):
            raise TypeError("the lake is not made of an AWS::S3::Bucket")
        # CDK's own option would bring a function that sets this afterwards.
        bucket.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(
                event_bridge_enabled=True
            )
        )

    def _bus(self, names: Names, settings: Settings) -> None:
        bus = events.EventBus(self, "Bus", event_bus_name=names.bus)
        if settings.archive_days:
            bus.archive(
                "Archive",
                archive_name=names.bus,
                description="Every event, for replay.",
                event_pattern=events.EventPattern(source=events.Match.prefix("quarry.")),
                retention=Duration.days(settings.archive_days),
            )

    def _alarm_topic(self, names: Names, settings: Settings) -> None:
        topic = sns.Topic(self, "Alarms", topic_name=names.alarm_topic, enforce_ssl=True)
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsOfThisAccountOnly",
                actions=["sns:Publish"],
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                resources=[topic.topic_arn],
                conditions={
                    "ArnLike": {"aws:SourceArn": names.arn("cloudwatch", f"alarm:{names.prefix}-*")}
                },
            )
        )
        if settings.alarm_email:
            topic.add_subscription(subscriptions.EmailSubscription(settings.alarm_email))
        ssm.StringParameter(
            self,
            "AlarmTopicArn",
            parameter_name=names.parameter("alarm-topic-arn"),
            string_value=topic.topic_arn,
        )

    def _images(self, service: Service, names: Names, removal: RemovalPolicy) -> None:
        repository = ecr.Repository(
            self,
            f"{service.capitalize()}Images",
            repository_name=names.repository(service),
            image_scan_on_push=True,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            lifecycle_rules=[ecr.LifecycleRule(max_image_count=_IMAGES_KEPT)],
            empty_on_delete=removal == RemovalPolicy.DESTROY,
            removal_policy=removal,
        )
        repository.add_to_resource_policy(
            iam.PolicyStatement(
                sid="FunctionsOfThisAccountOnly",
                actions=["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                principals=[iam.ServicePrincipal("lambda.amazonaws.com")],
                conditions={
                    "StringLike": {
                        "aws:SourceArn": names.arn("lambda", f"function:{names.prefix}-*")
                    }
                },
            )
        )

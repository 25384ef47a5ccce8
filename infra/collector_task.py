"""The collector as a Fargate service: for folders that take longer than a function may."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.names import Names
from infra.parts import QueuedService, image_tag, log_retention
from infra.settings import Settings, TaskSettings

# What a message in hand may take to finish after SIGTERM; Fargate allows 120 seconds.
_STOP_SECONDS = 120


def add_task(
    scope: Construct,
    *,
    service: QueuedService,
    task: TaskSettings,
    names: Names,
    settings: Settings,
) -> None:
    """Run the same image as a long-running worker; no task runs while the queue is empty."""
    vpc = ec2.Vpc(
        scope,
        "Network",
        vpc_name=f"{names.prefix}-collector",
        ip_addresses=ec2.IpAddresses.cidr("10.43.0.0/24"),
        max_azs=2,
        nat_gateways=0,
        restrict_default_security_group=False,
        subnet_configuration=[
            ec2.SubnetConfiguration(name="out", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=26)
        ],
    )
    flow_log = logs.LogGroup(
        scope,
        "FlowLog",
        log_group_name=f"/quarry/{names.env}/collector-network",
        retention=logs.RetentionDays.ONE_WEEK,
        removal_policy=RemovalPolicy.DESTROY,
    )
    vpc.add_flow_log(
        "Rejected",
        destination=ec2.FlowLogDestination.to_cloud_watch_logs(flow_log),
        traffic_type=ec2.FlowLogTrafficType.REJECT,
    )
    group = ec2.SecurityGroup(
        scope,
        "Outward",
        vpc=vpc,
        description="The collector calls out; nothing calls in.",
        allow_all_outbound=False,
    )
    for port, what in ((443, "the portal and AWS"), (5432, "source databases")):
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(port), what)
    fargate = ecs.FargateService(
        scope,
        "Task",
        cluster=ecs.Cluster(
            scope,
            "Cluster",
            cluster_name=names.function("collector"),
            vpc=vpc,
            container_insights_v2=ecs.ContainerInsights.ENABLED,
        ),
        task_definition=_definition(scope, service, task, names, settings),
        service_name=names.function("collector"),
        assign_public_ip=True,
        desired_count=0,
        min_healthy_percent=0,
        max_healthy_percent=100,
        security_groups=[group],
        circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
    )
    fargate.auto_scale_task_count(min_capacity=0, max_capacity=task.tasks_max).scale_on_metric(
        "Messages",
        metric=_messages(service),
        scaling_steps=[
            autoscaling.ScalingInterval(upper=0, change=0),
            autoscaling.ScalingInterval(lower=1, change=1),
            autoscaling.ScalingInterval(lower=10, change=task.tasks_max),
        ],
        adjustment_type=autoscaling.AdjustmentType.EXACT_CAPACITY,
        cooldown=Duration.minutes(5),
    )


def _messages(service: QueuedService) -> cloudwatch.MathExpression:
    # Those in hand count too: a task must not be stopped under the message it works on.
    period = Duration.minutes(1)
    return cloudwatch.MathExpression(
        expression="waiting + in_hand",
        period=period,
        using_metrics={
            "waiting": service.queue.metric_approximate_number_of_messages_visible(
                period=period, statistic="Maximum"
            ),
            "in_hand": service.queue.metric_approximate_number_of_messages_not_visible(
                period=period, statistic="Maximum"
            ),
        },
    )


def _definition(
    scope: Construct,
    service: QueuedService,
    task: TaskSettings,
    names: Names,
    settings: Settings,
) -> ecs.FargateTaskDefinition:
    definition = ecs.FargateTaskDefinition(
        scope,
        "Definition",
        family=names.function("collector"),
        cpu=task.cpu,
        memory_limit_mib=task.memory_mb,
        ephemeral_storage_gib=task.tmp_gb,
        volumes=[ecs.Volume(name="tmp")],
    )
    for statement in service.statements:
        definition.add_to_task_role_policy(statement)
    definition.add_to_execution_role_policy(
        iam.PolicyStatement(actions=["ecr:GetAuthorizationToken"], resources=["*"])
    )
    log_group = logs.LogGroup(
        scope,
        "TaskLog",
        log_group_name=f"/quarry/{names.env}/collector",
        retention=log_retention(settings.log_retention_days),
        removal_policy=RemovalPolicy.DESTROY,
    )
    repository = ecr.Repository.from_repository_attributes(
        scope,
        "Images",
        repository_arn=names.arn("ecr", f"repository/{names.repository('collector')}"),
        repository_name=names.repository("collector"),
    )
    container = definition.add_container(
        "collector",
        image=ecs.ContainerImage.from_ecr_repository(repository, image_tag(scope)),
        entry_point=["python", "-m", "services.collector.main"],
        # botocore does not read AWS_REGION; Lambda sets both by itself.
        environment={**service.variables, "AWS_DEFAULT_REGION": names.region},
        logging=ecs.LogDrivers.aws_logs(stream_prefix="collector", log_group=log_group),
        readonly_root_filesystem=True,
        stop_timeout=Duration.seconds(_STOP_SECONDS),
    )
    container.add_mount_points(
        ecs.MountPoint(container_path="/tmp", source_volume="tmp", read_only=False)  # noqa: S108  # the container's own
    )
    return definition

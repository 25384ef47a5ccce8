"""The one construct that gives a service its queue, dead-letter queue, alarms and worker."""

from collections.abc import Sequence

from aws_cdk import CfnParameter, CfnResource, Duration, RemovalPolicy, Size, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.alarms import alarm, alarm_on_parked
from infra.names import Names, Service, is_fifo
from infra.permissions import allow, worker_statements
from infra.settings import FunctionSettings, Settings
from infra.variables import service_variables


class QueuedService(Construct):
    """A service: its queue, where its messages are parked, what works on them, who is told.

    `function` is None where a Fargate task (`infra/stacks/collector.py`) or, locally, a
    long-running process reads the queue.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        service: Service,
        names: Names,
        settings: Settings,
        statements: Sequence[iam.PolicyStatement] = (),
        variables: dict[str, str] | None = None,
    ) -> None:
        super().__init__(scope, "Service")
        self._service: Service = service
        self._names = names
        self._settings = settings
        self.statements = [*worker_statements(service, names), *statements]
        self.variables = service_variables(service, names, settings) | (variables or {})
        self.dead_letters = self._queue("DeadLetters", names.dead_letter_queue(service))
        self.queue = self._queue(
            "Queue",
            names.queue(service),
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letters, max_receive_count=settings.max_receive_count
            ),
        )
        self._publish("QueueUrl", "queue-url", self.queue)
        self._publish("DeadLettersUrl", "dlq-url", self.dead_letters)
        alarm_on_parked(self, names.dead_letter_queue(service), self.dead_letters, names)
        alarm(
            self,
            "OldestMessage",
            name=f"{names.queue(service)}-oldest-message",
            description="A message has waited too long",
            metric=self.queue.metric_approximate_age_of_oldest_message(
                period=Duration.minutes(5), statistic="Maximum"
            ),
            above=settings.services[service].oldest_message_alarm_seconds,
            names=names,
        )
        alarm(
            self,
            "Failing",
            name=f"{names.queue(service)}-failing",
            description="Messages fail again and again",
            metric=cloudwatch.Metric(
                namespace=names.metrics_namespace,
                metric_name="Retried",
                dimensions_map={"service": service},
                statistic="Sum",
                period=Duration.hours(1),
            ),
            above=settings.services[service].retries_an_hour_alarm,
            names=names,
        )
        size = settings.services[service].function
        self.function = self._function(size) if size else None

    def _queue(
        self, construct_id: str, name: str, dead_letter_queue: sqs.DeadLetterQueue | None = None
    ) -> sqs.Queue:
        settings = self._settings
        own = settings.services[self._service]
        reads = dead_letter_queue is not None
        return sqs.Queue(
            self,
            construct_id,
            queue_name=name,
            fifo=True if is_fifo(self._service) else None,  # CloudFormation refuses a false
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(
                settings.message_retention_days if reads else settings.dead_letter_retention_days
            ),
            visibility_timeout=Duration.seconds(own.visibility_seconds) if reads else None,
            receive_message_wait_time=Duration.seconds(20) if reads else None,
            dead_letter_queue=dead_letter_queue,
            removal_policy=RemovalPolicy.DESTROY,
        )

    def _publish(self, construct_id: str, name: str, queue: sqs.Queue) -> None:
        ssm.StringParameter(
            self,
            construct_id,
            parameter_name=self._names.parameter(self._service, name),
            string_value=queue.queue_url,
        )

    def _function(self, size: FunctionSettings) -> lambda_.DockerImageFunction:
        function = image_function(
            self,
            "Function",
            service=self._service,
            function_name=self._names.function(self._service),
            handler=f"services.{self._service}.main.handler",
            names=self._names,
            settings=self._settings,
            size=size,
            statements=self.statements,
            variables=self.variables,
        )
        function.add_event_source(
            event_sources.SqsEventSource(
                self.queue,
                batch_size=size.batch_size,
                max_concurrency=size.max_concurrency,
                report_batch_item_failures=True,
            )
        )
        return function


def image_tag(scope: Construct) -> str:
    """Return the stack's one parameter: which image to run. Images are pushed before a deploy."""
    stack = Stack.of(scope)
    found = stack.node.try_find_child("ImageTag")
    if found is None:
        found = CfnParameter(
            stack,
            "ImageTag",
            type="String",
            description="Tag of the service's image in its ECR repository.",
            allowed_pattern=r"^[A-Za-z0-9_.-]{1,128}$",
        )
    if not isinstance(found, CfnParameter):
        raise TypeError("ImageTag is taken by something that is not a parameter")
    return found.value_as_string


def image_function(
    scope: Construct,
    construct_id: str,
    *,
    service: Service,
    function_name: str,
    handler: str,
    names: Names,
    settings: Settings,
    size: FunctionSettings,
    statements: Sequence[iam.PolicyStatement],
    variables: dict[str, str],
) -> lambda_.DockerImageFunction:
    """Make a traced function from a service's image, with its own role, log group and alarms."""
    log_group = logs.LogGroup(
        scope,
        f"{construct_id}Log",
        log_group_name=f"/aws/lambda/{function_name}",
        retention=log_retention(settings.log_retention_days),
        removal_policy=RemovalPolicy.DESTROY,
    )
    role = iam.Role(
        scope,
        f"{construct_id}Role",
        assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        description=f"What {function_name} may do; tests/infra/test_permissions.py lists it.",
    )
    log_streams = names.arn("logs", f"log-group:/aws/lambda/{function_name}:*")
    for statement in (
        *statements,
        allow(["logs:CreateLogStream", "logs:PutLogEvents"], [log_streams]),
    ):
        role.add_to_policy(statement)
    repository = ecr.Repository.from_repository_attributes(
        scope,
        f"{construct_id}Images",
        repository_arn=names.arn("ecr", f"repository/{names.repository(service)}"),
        repository_name=names.repository(service),
    )
    function = lambda_.DockerImageFunction(
        scope,
        construct_id,
        function_name=function_name,
        code=lambda_.DockerImageCode.from_ecr(
            repository, tag_or_digest=image_tag(scope), cmd=[handler]
        ),
        architecture=lambda_.Architecture.X86_64,
        role=role,
        environment=variables,
        memory_size=size.memory_mb,
        timeout=Duration.seconds(size.timeout_seconds),
        ephemeral_storage_size=Size.mebibytes(size.tmp_mb),
        reserved_concurrent_executions=size.reserved_concurrency,
        tracing=lambda_.Tracing.ACTIVE,
        log_group=log_group,
    )
    _wait_for_policy_only(function, role)
    for kind, metric in (
        ("errors", function.metric_errors(period=Duration.minutes(5))),
        ("throttles", function.metric_throttles(period=Duration.minutes(5))),
    ):
        alarm(
            scope,
            f"{construct_id}{kind.capitalize()}",
            name=f"{function_name}-{kind}",
            description=f"The function had {kind}",
            metric=metric,
            above=0,
            names=names,
        )
    return function


def _wait_for_policy_only(function: lambda_.Function, role: iam.Role) -> None:
    # CDK writes DependsOn for role and policy; the role is already implied, and cfn-lint says so.
    resource = function.node.default_child
    policy = role.node.find_child("DefaultPolicy").node.default_child
    if not isinstance(resource, CfnResource) or not isinstance(policy, CfnResource):
        raise TypeError("the default child of a construct is its CloudFormation resource")
    logical_id = Stack.of(function).get_logical_id(policy)
    resource.add_override("DependsOn", [logical_id])


def log_retention(days: int) -> logs.RetentionDays:
    """Return CDK's name for a log group's retention, one of those the settings use."""
    known = {30: logs.RetentionDays.ONE_MONTH, 90: logs.RetentionDays.THREE_MONTHS}
    return known[days]

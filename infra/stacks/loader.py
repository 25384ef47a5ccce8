from aws_cdk import Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.names import Names
from infra.network import RDS_AUTHORITIES, join_network, own_interfaces
from infra.parts import QueuedService
from infra.permissions import allow, publish, read_lake
from infra.settings import Settings


class LoaderStack(Stack):
    """The loader, inside the data stack's network, found by its parameters."""

    def __init__(
        self, scope: Construct, stack_id: str, *, names: Names, settings: Settings
    ) -> None:
        super().__init__(scope, stack_id)
        statements = [*read_lake(names, "clean"), publish(names)]
        # A connection that stays open between invocations would keep Aurora from pausing.
        variables = {"QUARRY_KEEP_CONNECTIONS": "false"}
        if settings.database:
            secret = ssm.StringParameter.value_for_string_parameter(
                self, names.parameter("database", "secret-arn")
            )
            statements += [allow(["secretsmanager:GetSecretValue"], [secret]), own_interfaces()]
            variables |= {
                "QUARRY_DATABASE_SECRET": secret,
                "QUARRY_TLS_ROOT_CERTIFICATES": RDS_AUTHORITIES,
            }
        service = QueuedService(
            self,
            service="loader",
            names=names,
            settings=settings,
            statements=statements,
            variables=variables,
        )
        if service.function:
            self._join_network(service.function, names)

    def _join_network(self, function: lambda_.DockerImageFunction, names: Names) -> None:
        group = ssm.StringParameter.value_for_string_parameter(
            self, names.parameter("database", "client-security-group-id")
        )
        subnets = ssm.StringListParameter.value_for_typed_list_parameter(
            self, names.parameter("database", "subnet-ids"), ssm.ParameterValueType.STRING
        )
        join_network(function, groups=[group], subnets=subnets)

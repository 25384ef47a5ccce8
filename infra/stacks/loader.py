from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.names import Names
from infra.parts import QueuedService
from infra.permissions import allow, publish, read_lake
from infra.settings import Settings

# In the loader's image: RDS certificates come from Amazon's own authorities, not from Debian's.
_RDS_AUTHORITIES = "/etc/ssl/rds-global-bundle.pem"


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
            statements += [allow(["secretsmanager:GetSecretValue"], [secret]), _own_interfaces()]
            variables |= {
                "QUARRY_DATABASE_SECRET": secret,
                "QUARRY_TLS_ROOT_CERTIFICATES": _RDS_AUTHORITIES,
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
        # Layer 1: the layer 2 construct wants a VPC object, which would have to be looked up.
        group = ssm.StringParameter.value_for_string_parameter(
            self, names.parameter("database", "client-security-group-id")
        )
        subnets = ssm.StringListParameter.value_for_typed_list_parameter(
            self, names.parameter("database", "subnet-ids"), ssm.ParameterValueType.STRING
        )
        resource = function.node.default_child
        if not isinstance(resource, lambda_.CfnFunction):
            raise TypeError("a function's default child is its CloudFormation resource")
        resource.vpc_config = lambda_.CfnFunction.VpcConfigProperty(
            security_group_ids=[group], subnet_ids=subnets
        )


def _own_interfaces() -> iam.PolicyStatement:
    """Return what Lambda itself needs to put a function into a network.

    The interfaces do not exist yet, so no resource can be named:
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
    """
    return allow(
        [
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
        ],
        ["*"],
    )

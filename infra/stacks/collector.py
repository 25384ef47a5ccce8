import json
from collections.abc import Mapping

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from contracts import DynamoSource
from contracts.datasets import all_datasets
from infra.collector_task import add_task
from infra.names import INBOX, Names
from infra.network import RDS_AUTHORITIES, join_network, own_interfaces
from infra.parts import QueuedService
from infra.permissions import allow, empty_lake, publish, read_lake, write_lake
from infra.settings import Settings


class CollectorStack(Stack):
    """The collector: a function, or by setting a Fargate task without a time limit."""

    def __init__(
        self, scope: Construct, stack_id: str, *, names: Names, settings: Settings
    ) -> None:
        super().__init__(scope, stack_id)
        function = settings.services["collector"].function
        network = function.network if function else None
        service = QueuedService(
            self,
            service="collector",
            names=names,
            settings=settings,
            # It reads back its own manifest: a folder that is complete is not fetched again.
            statements=[
                *read_lake(names, "raw", "packets", "drops", INBOX),
                *write_lake(names, "raw", "packets", "drops", "accepted", "rejected"),
                empty_lake(names, INBOX),
                publish(names),
                _take_turns(names),
                *_source_databases(names),
                *_source_tables(names, settings.source_roles),
                *([own_interfaces()] if network else []),
            ],
            # Waiting for a turn at the source and the download fit in one invocation together.
            variables={
                "QUARRY_FETCHER": "browser",
                "QUARRY_PATIENCE_SECONDS": "240",
                "QUARRY_TLS_ROOT_CERTIFICATES": RDS_AUTHORITIES,
                **_role_variables(settings.source_roles),
            },
        )
        if service.function and network:
            join_network(
                service.function,
                groups=network.security_group_ids,
                subnets=network.subnet_ids,
            )
        task = settings.services["collector"].task
        if task:
            add_task(self, service=service, task=task, names=names, settings=settings)


def _take_turns(names: Names) -> iam.PolicyStatement:
    """Return the right to change the run log's items about hosts, and no others."""
    return iam.PolicyStatement(
        actions=["dynamodb:UpdateItem"],
        resources=[names.arn("dynamodb", f"table/{names.runs_table}")],
        conditions={"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["host#*"]}},
    )


def _source_databases(names: Names) -> list[iam.PolicyStatement]:
    """Return the rights to sources' secrets, and to the numbers of the packets taken from them."""
    return [
        allow(
            ["secretsmanager:GetSecretValue"],
            # Secrets Manager ends every ARN with six characters of its own.
            [names.arn("secretsmanager", f"secret:{names.prefix}/source/*")],
        ),
        allow(
            ["ssm:GetParameter", "ssm:PutParameter"],
            [names.arn("ssm", f"parameter/quarry/{names.env}/*/packet/*")],
        ),
    ]


def _source_tables(names: Names, roles: Mapping[str, str]) -> list[iam.PolicyStatement]:
    """Return the rights to scan declared tables, or to assume the roles that may."""
    tables = [
        names.arn("dynamodb", f"table/{dataset.source.name_in(names.env, table)}")
        for dataset in all_datasets().values()
        if isinstance(dataset.source, DynamoSource) and dataset.name not in roles
        for table in dataset.source.tables
    ]
    found = [allow(["dynamodb:DescribeTable", "dynamodb:Scan"], tables)] if tables else []
    return [*found, *([allow(["sts:AssumeRole"], list(roles.values()))] if roles else [])]


def _role_variables(roles: Mapping[str, str]) -> dict[str, str]:
    if not roles:
        return {}
    return {"QUARRY_DYNAMODB": json.dumps({name: {"role_arn": arn} for name, arn in roles.items()})}

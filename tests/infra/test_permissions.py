"""What each role may do, in full: an action or a resource more fails here."""

from collections.abc import Mapping

import pytest

from infra.names import Environment, Names
from infra.template import Template
from tests.infra.network_interfaces import NETWORK_INTERFACES

Committed = Mapping[Environment, Mapping[str, Template]]
Permissions = set[tuple[str, str]]

_LAMBDA_ITSELF: Permissions = {
    ("xray:PutTelemetryRecords", "*"),
    ("xray:PutTraceSegments", "*"),
}
# Neither X-Ray's actions nor the interfaces that Lambda makes for itself have a resource to name.
_WILDCARDS = _LAMBDA_ITSELF | NETWORK_INTERFACES


def _arn(vendor_service: str, resource: str) -> str:
    return f"arn:{{Partition}}:{vendor_service}:{{Region}}:{{AccountId}}:{resource}"


def _works_on(queue: str, dead_letters: str, function: str) -> Permissions:
    streams = _arn("logs", f"log-group:/aws/lambda/{function}:*")
    return _LAMBDA_ITSELF | {
        ("sqs:ChangeMessageVisibility", _arn("sqs", queue)),
        ("sqs:DeleteMessage", _arn("sqs", queue)),
        ("sqs:GetQueueAttributes", _arn("sqs", queue)),
        ("sqs:GetQueueUrl", _arn("sqs", queue)),
        ("sqs:ReceiveMessage", _arn("sqs", queue)),
        ("sqs:SendMessage", _arn("sqs", dead_letters)),
        ("dynamodb:PutItem", _arn("dynamodb", "table/quarry-prod-runs")),
        ("logs:CreateLogStream", streams),
        ("logs:PutLogEvents", streams),
    }


_LAKE = "arn:{Partition}:s3:::quarry-prod-lake-{AccountId}"
_PUBLISH = ("events:PutEvents", _arn("events", "event-bus/quarry-prod"))

_MAY: Mapping[str, Permissions] = {
    "generator": _works_on(
        "quarry-prod-generator", "quarry-prod-generator-dlq", "quarry-prod-generator"
    )
    | {("sqs:SendMessage", _arn("sqs", "quarry-prod-collector"))},
    "collector": _works_on(
        "quarry-prod-collector", "quarry-prod-collector-dlq", "quarry-prod-collector"
    )
    | {
        ("s3:GetObject", f"{_LAKE}/raw/*"),
        ("s3:ListBucket", _LAKE),
        ("s3:PutObject", f"{_LAKE}/raw/*"),
        ("s3:AbortMultipartUpload", f"{_LAKE}/raw/*"),
        ("s3:GetObject", f"{_LAKE}/packets/*"),
        ("s3:PutObject", f"{_LAKE}/packets/*"),
        ("s3:AbortMultipartUpload", f"{_LAKE}/packets/*"),
        ("s3:GetObject", f"{_LAKE}/inbox/*"),
        ("s3:DeleteObject", f"{_LAKE}/inbox/*"),
        ("s3:PutObject", f"{_LAKE}/accepted/*"),
        ("s3:AbortMultipartUpload", f"{_LAKE}/accepted/*"),
        ("s3:PutObject", f"{_LAKE}/rejected/*"),
        ("s3:AbortMultipartUpload", f"{_LAKE}/rejected/*"),
        ("s3:GetObject", f"{_LAKE}/drops/*"),
        ("s3:PutObject", f"{_LAKE}/drops/*"),
        ("s3:AbortMultipartUpload", f"{_LAKE}/drops/*"),
        ("secretsmanager:GetSecretValue", _arn("secretsmanager", "secret:quarry-prod/source/*")),
        ("ssm:GetParameter", _arn("ssm", "parameter/quarry/prod/*/packet/*")),
        ("ssm:PutParameter", _arn("ssm", "parameter/quarry/prod/*/packet/*")),
        ("dynamodb:UpdateItem", _arn("dynamodb", "table/quarry-prod-runs")),
        *(
            (f"dynamodb:{action}", _arn("dynamodb", f"table/invoice-{table}-prod"))
            for action in ("DescribeTable", "Scan")
            for table in ("documents", "metadata", "templates", "audit")
        ),
        _PUBLISH,
    },
    "processor": _works_on(
        "quarry-prod-processor", "quarry-prod-processor-dlq", "quarry-prod-processor"
    )
    | {
        ("s3:GetObject", f"{_LAKE}/raw/*"),
        ("s3:ListBucket", _LAKE),
        ("s3:GetObject", f"{_LAKE}/accepted/*"),
        ("s3:GetObject", f"{_LAKE}/packets/*"),
        ("s3:GetObject", f"{_LAKE}/clean/*"),
        ("s3:PutObject", f"{_LAKE}/clean/*"),
        ("s3:AbortMultipartUpload", f"{_LAKE}/clean/*"),
        ("s3:GetObject", f"{_LAKE}/registry/*"),
        ("s3:PutObject", f"{_LAKE}/registry/*"),
        ("s3:AbortMultipartUpload", f"{_LAKE}/registry/*"),
        ("sqs:SendMessage", _arn("sqs", "quarry-prod-loader.fifo")),
    },
    "loader": _works_on(
        "quarry-prod-loader.fifo", "quarry-prod-loader-dlq.fifo", "quarry-prod-loader"
    )
    | NETWORK_INTERFACES
    | {
        ("s3:GetObject", f"{_LAKE}/clean/*"),
        ("s3:ListBucket", _LAKE),
        ("secretsmanager:GetSecretValue", "{/quarry/prod/database/secret-arn}"),
        _PUBLISH,
    },
}


def _function_role(template: Template, function_name: str) -> str:
    (role,) = (
        function.properties["Role"]["Fn::GetAtt"][0]
        for function in template.resources("AWS::Lambda::Function")
        if function.properties["FunctionName"] == function_name
    )
    return str(role)


@pytest.mark.parametrize("service", _MAY)
def test_a_service_may_do_exactly_what_the_table_says(service: str, committed: Committed) -> None:
    template = committed["prod"][Names("prod").stack(service)]
    role = _function_role(template, f"quarry-prod-{service}")

    assert template.permissions(role) == _MAY[service]


def test_the_rest_function_may_send_requests_and_read_the_run_log(committed: Committed) -> None:
    template = committed["prod"][Names("prod").stack("generator")]
    streams = _arn("logs", "log-group:/aws/lambda/quarry-prod-api:*")

    assert template.permissions(_function_role(template, "quarry-prod-api")) == _LAMBDA_ITSELF | {
        ("sqs:SendMessage", _arn("sqs", "quarry-prod-generator")),
        ("dynamodb:Query", _arn("dynamodb", "table/quarry-prod-runs")),
        ("logs:CreateLogStream", streams),
        ("logs:PutLogEvents", streams),
    }


def test_the_scheduler_may_send_to_the_generator_and_to_its_dead_letter_queue(
    committed: Committed,
) -> None:
    template = committed["prod"][Names("prod").stack("generator")]
    roles = {
        schedule.properties["Target"]["RoleArn"]["Fn::GetAtt"][0]
        for schedule in template.resources("AWS::Scheduler::Schedule")
    }

    assert [template.permissions(role) for role in roles] == [
        {
            ("sqs:SendMessage", _arn("sqs", "quarry-prod-generator")),
            ("sqs:SendMessage", _arn("sqs", "quarry-prod-generator-dlq")),
        }
    ]


def test_dev_roles_are_prod_roles_by_another_name(committed: Committed) -> None:
    for service, allowed in _MAY.items():
        template = committed["dev"][Names("dev").stack(service)]
        role = _function_role(template, f"quarry-dev-{service}")

        assert template.permissions(role) == {
            (action, resource.replace("prod", "dev")) for action, resource in allowed
        }


def test_no_role_of_ours_has_a_wildcard_that_is_not_listed(committed: Committed) -> None:
    wide = {
        (action, resource)
        for template in committed["prod"].values()
        for role in template.resources("AWS::IAM::Role")
        for action, resource in template.permissions(role.logical_id)
        if resource == "*" or "*" in action
    }

    assert wide == _WILDCARDS


def test_only_api_gateways_log_role_has_a_managed_policy(committed: Committed) -> None:
    managed = {
        template.text(policy)
        for template in committed["prod"].values()
        for role in template.resources("AWS::IAM::Role")
        for policy in role.properties.get("ManagedPolicyArns", [])
    }

    assert managed == {
        "arn:{Partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
    }


def test_the_collector_may_change_nothing_of_the_run_log_but_turns_at_hosts(
    committed: Committed,
) -> None:
    template = committed["prod"][Names("prod").stack("collector")]
    conditions = [
        statement["Condition"]
        for statement in template.statements(_function_role(template, "quarry-prod-collector"))
        if statement["Action"] == "dynamodb:UpdateItem"
    ]

    assert conditions == [{"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["host#*"]}}]

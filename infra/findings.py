"""What cdk-nag and CDK's own validation say, and which of it is accepted, with the reason. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.names import SERVICES, Environment, Names

VALIDATION_REPORT = "validation-report.json"


@dataclass(frozen=True, order=True)
class Finding:
    """A rule that a construct breaks; both as the validation report names them."""

    construct: str
    rule: str


_LOG_STREAMS = "Lambda names the streams of the function's own log group itself."
_LAKE_FOLDER = "One folder of the one bucket; the keys below it come with each message."
_SOURCES = "Source databases are declared in contracts/datasets, one secret for each."
_PACKETS = "A counter per polled table, declared in contracts/datasets."
_API_GATEWAY_LOGS = (
    "arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
)
_NO_RESOURCE = (
    "X-Ray's two actions and the network interfaces Lambda makes for itself have no resource to "
    "name; tests/infra/test_permissions.py lists the actions."
)


def findings_of(report: Mapping[str, Any]) -> set[Finding]:
    """Read CDK's validation report: every rule, warnings included."""
    return {
        Finding(construct["constructPath"].removesuffix("/Resource"), violation["ruleName"])
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    }


def accepted(env: Environment) -> dict[Finding, str]:
    """Return the findings that stay, each with its reason."""
    names = _as_reported(env)
    found = {
        Finding(f"{names.stack(stack)}/{path}", f"AwsSolutions-{rule}"): reason
        for stack, path, rule, reason in (*_wildcards(names), *_choices(env))
    }
    if env == "local":
        return {key: why for key, why in found.items() if key.rule.endswith(("S1", "SQS3", "DDB3"))}
    return found


def accepted_for_task(env: Environment) -> dict[Finding, str]:
    """Return the findings that the collector as a Fargate task adds, each with its reason."""
    names = _as_reported(env)
    definition = f"{names.stack('collector')}/Definition"
    return {
        Finding(definition, "AwsSolutions-ECS2"): "The variables are names; none is secret.",
        Finding(
            f"{definition}/ExecutionRole/DefaultPolicy", "AwsSolutions-IAM5[Resource::*]"
        ): "ecr:GetAuthorizationToken has no resource to name.",
        **{
            Finding(
                f"{definition}/TaskRole/DefaultPolicy", f"AwsSolutions-IAM5[Resource::{resource}]"
            ): reason
            for resource, reason in _collector_resources(names)
        },
    }


def _collector_resources(names: Names) -> Iterator[tuple[str, str]]:
    for folder in ("raw", "packets", "drops", "inbox", "accepted", "rejected"):
        yield names.lake_arn(f"{folder}/*"), _LAKE_FOLDER
    yield names.arn("secretsmanager", f"secret:{names.prefix}/source/*"), _SOURCES
    yield names.arn("ssm", f"parameter/quarry/{names.env}/*/packet/*"), _PACKETS


def _as_reported(env: Environment) -> Names:
    return Names(
        env, account="<AWS::AccountId>", region="<AWS::Region>", partition="<AWS::Partition>"
    )


def _wildcards(names: Names) -> Iterator[tuple[str, str, str, str]]:
    roles = [(s, "Service/FunctionRole/DefaultPolicy", names.function(s)) for s in SERVICES]
    roles.append(("generator", "ApiRole/DefaultPolicy", names.api_function))
    for stack, path, function in roles:
        streams = names.arn("logs", f"log-group:/aws/lambda/{function}:*")
        yield stack, path, f"IAM5[Resource::{streams}]", _LOG_STREAMS
        yield stack, path, "IAM5[Resource::*]", _NO_RESOURCE
    for stack, folder in (
        ("processor", "raw"),
        ("processor", "accepted"),
        ("processor", "packets"),
        ("processor", "clean"),
        ("processor", "registry"),
        ("loader", "clean"),
    ):
        keys = names.lake_arn(f"{folder}/*")
        yield (
            stack,
            "Service/FunctionRole/DefaultPolicy",
            f"IAM5[Resource::{keys}]",
            _LAKE_FOLDER,
        )
    for resource, reason in _collector_resources(names):
        policy = "Service/FunctionRole/DefaultPolicy"
        yield "collector", policy, f"IAM5[Resource::{resource}]", reason


def _choices(env: Environment) -> Iterator[tuple[str, str, str, str]]:
    yield (
        "shared",
        "Lake",
        "S1",
        (
            "Only three roles reach the bucket, and manifest and ledger say what was written and "
            "read; an account that wants object-level audit turns on CloudTrail data events."
        ),
    )
    yield (
        "processor",
        "Undelivered",
        "SQS3",
        "It is itself the dead-letter queue, of the EventBridge rule.",
    )
    yield (
        "generator",
        "Rest/CloudWatchRole",
        f"IAM4[Policy::{_API_GATEWAY_LOGS}]",
        "API Gateway's one role per account and region for logs; AWS documents this policy for it.",
    )
    yield (
        "generator",
        "Rest/DeploymentStage.v1",
        "APIG3",
        "Every request is signed by an IAM principal and throttled; nobody anonymous to filter.",
    )
    for path in ("Rest/Default/runs/POST", "Rest/Default/runs/{run_id}/GET"):
        yield "generator", path, "COG4", "Callers are programs with IAM roles, not users."
    if env != "prod":
        yield "shared", "Runs", "DDB3", "Only prod keeps its run log; elsewhere it may be lost."
    if env == "dev":
        yield "data", "Database", "RDS10", "A dev database may be thrown away."

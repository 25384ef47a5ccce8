"""Queues, rules, bucket, table and parameters, made by CloudFormation from `infra/templates`."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import ClientError

from infra.names import Environment
from infra.templates import template_paths
from ops.errors import CommandFailed

Template = dict[str, Any]
_POLL_SECONDS = 0.05
_STACK_SECONDS = 60
_ENDED_WELL = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE"})
_MISSING = frozenset(
    {"404", "NoSuchBucket", "NotFound", "NotFoundException", "ParameterNotFound"}
    | {"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"}
    | {"ResourceNotFoundException"}
)


@dataclass(frozen=True)
class Repair:
    """What had to be done to one stack; `remade` are types and names of lost resources."""

    stack: str
    action: str
    remade: tuple[str, ...] = ()


class Resources:
    """The stacks of one environment behind one endpoint."""

    def __init__(self, session: boto3.Session, endpoint_url: str) -> None:
        @cache
        def client(service: str) -> Any:
            return session.client(service, endpoint_url=endpoint_url)

        self._client: Callable[[str], Any] = client
        self._stacks = client("cloudformation")

    def ensure(self, env: Environment) -> list[Repair]:
        """Create, update or repair every stack; return what was done, nothing when all is well."""
        done: list[Repair] = []
        for stack, path in template_paths(env).items():
            wanted: Template = json.loads(path.read_text())
            repair = self._ensure_stack(stack, wanted)
            if repair is not None:
                done.append(repair)
        return done

    def _ensure_stack(self, stack: str, wanted: Template) -> Repair | None:
        status = self._status(stack)
        if status not in _ENDED_WELL - {"DELETE_COMPLETE"}:
            if status not in {None, "DELETE_COMPLETE"}:
                self._delete(stack)
            self._create(stack, wanted)
            return Repair(stack, "created")
        action = None
        if self._deployed(stack) != wanted:
            self._update(stack, wanted)
            action = "updated"
        lost = self._lost(stack)
        if lost:
            self._make_again(stack, wanted, set(lost))
            return Repair(stack, "repaired", tuple(sorted(lost.values())))
        return Repair(stack, action) if action else None

    def _make_again(self, stack: str, wanted: Template, lost: set[str]) -> None:
        """Let CloudFormation forget the lost resources and what refers to them, then add them."""
        kept = without(wanted["Resources"], lost)
        if kept:
            self._update(stack, {**wanted, "Resources": kept})
            self._update(stack, wanted)
        else:
            self._delete(stack)
            self._create(stack, wanted)

    def _lost(self, stack: str) -> dict[str, str]:
        """Return logical id -> name of the stack's resources that are not there."""
        found = self._stacks.describe_stack_resources(StackName=stack)["StackResources"]
        return {
            item["LogicalResourceId"]: f"{item['ResourceType']} {item['PhysicalResourceId']}"
            for item in found
            if not self._exists(item["ResourceType"], item["PhysicalResourceId"])
        }

    def _exists(self, kind: str, name: str) -> bool:
        looks: dict[str, Callable[[], Any]] = {
            "AWS::SQS::Queue": lambda: self._client("sqs").get_queue_url(
                QueueName=name.rsplit("/", 1)[-1]
            ),
            "AWS::S3::Bucket": lambda: self._client("s3").head_bucket(Bucket=name),
            "AWS::DynamoDB::Table": lambda: self._client("dynamodb").describe_table(TableName=name),
            "AWS::Events::EventBus": lambda: self._client("events").describe_event_bus(Name=name),
            "AWS::SNS::Topic": lambda: self._client("sns").get_topic_attributes(TopicArn=name),
            "AWS::SSM::Parameter": lambda: self._client("ssm").get_parameter(Name=name),
        }
        if kind == "AWS::Events::Rule":
            return self._rule_exists(name)
        try:
            looks.get(kind, lambda: None)()
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return False
            raise
        return True

    def _rule_exists(self, name: str) -> bool:
        events = self._client("events")
        for bus in events.list_event_buses()["EventBuses"]:
            rules = events.list_rules(EventBusName=bus["Name"])["Rules"]
            if any(rule["Name"] == name for rule in rules):
                return bool(
                    events.list_targets_by_rule(Rule=name, EventBusName=bus["Name"])["Targets"]
                )
        return False

    def _status(self, stack: str) -> str | None:
        try:
            found = self._stacks.describe_stacks(StackName=stack)["Stacks"]
        except ClientError:  # "does not exist" is a ValidationError without a code of its own
            return None
        return str(found[0]["StackStatus"]) if found else None

    def _deployed(self, stack: str) -> Template:
        body = self._stacks.get_template(StackName=stack)["TemplateBody"]
        template: Template = json.loads(body) if isinstance(body, str) else dict(body)
        return template

    def _create(self, stack: str, template: Template) -> None:
        self._stacks.create_stack(StackName=stack, TemplateBody=json.dumps(template))
        self._wait(stack, {"CREATE_COMPLETE"})

    def _update(self, stack: str, template: Template) -> None:
        self._stacks.update_stack(StackName=stack, TemplateBody=json.dumps(template))
        self._wait(stack, {"UPDATE_COMPLETE"})

    def _delete(self, stack: str) -> None:
        self._stacks.delete_stack(StackName=stack)
        self._wait(stack, {None, "DELETE_COMPLETE"})

    def _wait(self, stack: str, wanted: set[str | None]) -> None:
        deadline = time.monotonic() + _STACK_SECONDS
        while (status := self._status(stack)) not in wanted:
            failed = status is not None and ("FAILED" in status or "ROLLBACK_COMPLETE" in status)
            if failed or time.monotonic() > deadline:
                raise CommandFailed(f"stack {stack} is {status}: {self._reason(stack)}")
            time.sleep(_POLL_SECONDS)

    def _reason(self, stack: str) -> str:
        events = self._stacks.describe_stack_events(StackName=stack)["StackEvents"]
        reasons = [
            f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
            for event in events
            if "FAILED" in event["ResourceStatus"] and event.get("ResourceStatusReason")
        ]
        return "; ".join(reasons) or "CloudFormation gives no reason"


def without(resources: Mapping[str, Any], lost: set[str]) -> dict[str, Any]:
    """Return the resources that neither are lost nor refer to one that is, however indirectly."""
    gone = set(lost)
    while True:
        referring = {
            name
            for name, resource in resources.items()
            if name not in gone and _references(resource) & gone
        }
        if not referring:
            return {name: value for name, value in resources.items() if name not in gone}
        gone |= referring


def _references(node: Any) -> set[str]:
    """Collect the logical ids that `Ref`, `Fn::GetAtt` and `DependsOn` name inside a template."""
    if isinstance(node, list):
        return set().union(*map(_references, node)) if node else set()
    if not isinstance(node, dict):
        return set()
    found: set[str] = set()
    for key, value in node.items():
        if key == "Ref" and isinstance(value, str):
            found.add(value)
        elif key == "Fn::GetAtt":
            found.add(str(value[0] if isinstance(value, list) else value.split(".")[0]))
        elif key == "DependsOn":
            found.update([value] if isinstance(value, str) else value)
        else:
            found |= _references(value)
    return found

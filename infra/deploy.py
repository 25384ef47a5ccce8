"""Deploy one stack from its committed template, or show what that would change.

python -m infra.deploy --env dev --stack collector [--image-tag TAG] [--diff]
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError

from infra.names import ENVIRONMENTS, SERVICES, Names
from infra.settings import settings_for
from infra.templates import template_paths

_POLL_SECONDS = 1.0
_SECONDS_MAX = 3600
# What CloudFormation takes without a bucket to put the template in.
_TEMPLATE_BYTES_MAX = 51_200
# Roles are made; the data stack's password rotation is a transform of AWS's.
_CAPABILITIES = ("CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")
_NOTHING_TO_DO = ("didn't contain changes", "No updates are to be performed")


class DeployFailed(RuntimeError):
    """CloudFormation refused or rolled back; the text holds its reasons."""


@dataclass(frozen=True)
class Change:
    """One resource that a deploy would touch."""

    action: str
    logical_id: str
    type: str
    replaced: bool

    def __str__(self) -> str:
        how = "replaced" if self.replaced else self.action.lower()
        return f"{how:9} {self.type:36} {self.logical_id}"


@dataclass(frozen=True)
class Plan:
    """A change set that waits: executed by `carry_out`, thrown away by `discard`."""

    stack: str
    change_set: str
    creates: bool
    changes: tuple[Change, ...]


class Deployer:
    """Plans and carries out deploys of single stacks with boto3's CloudFormation client.

    `poll_seconds` is how often it looks whether AWS is done.
    """

    def __init__(self, client: Any, *, poll_seconds: float = _POLL_SECONDS) -> None:
        self._client = client
        self._poll_seconds = poll_seconds

    def plan(self, stack: str, template: str, *, image_tag: str | None) -> Plan:
        """Work out what a deploy would change; an image tag left out stays as deployed.

        Raises:
            DeployFailed: the template is too large, has no image yet, or is refused.
        """
        if len(template.encode()) > _TEMPLATE_BYTES_MAX:
            raise DeployFailed(f"{stack}: {len(template)} bytes of template, at most 51,200")
        creates = self._status(stack) in {None, "REVIEW_IN_PROGRESS", "DELETE_COMPLETE"}
        change_set = f"quarry-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
        parameters = _parameters(stack, json.loads(template), image_tag, creates=creates)
        try:
            self._client.create_change_set(
                StackName=stack,
                ChangeSetName=change_set,
                ChangeSetType="CREATE" if creates else "UPDATE",
                TemplateBody=template,
                Capabilities=list(_CAPABILITIES),
                Parameters=parameters,
            )
        except ClientError as error:
            raise DeployFailed(f"{stack}: {error}") from error
        found = self._await_change_set(stack, change_set)
        changes = tuple(_change(item["ResourceChange"]) for item in found.get("Changes", []))
        return Plan(stack, change_set, creates, changes)

    def carry_out(self, plan: Plan) -> None:
        """Deploy, if there is anything to change; returns when CloudFormation is done.

        Raises:
            DeployFailed: it rolled back.
        """
        if not plan.changes:
            self.discard(plan)
            return
        self._client.execute_change_set(StackName=plan.stack, ChangeSetName=plan.change_set)
        self._await(plan.stack, {"CREATE_COMPLETE", "UPDATE_COMPLETE"})

    def discard(self, plan: Plan) -> None:
        """Throw the plan away, and the empty stack that a planned creation leaves."""
        self._client.delete_change_set(StackName=plan.stack, ChangeSetName=plan.change_set)
        if plan.creates:
            self.remove(plan.stack)

    def remove(self, stack: str) -> None:
        """Delete a stack; returns when it is gone."""
        self._client.delete_stack(StackName=stack)
        self._await(stack, {None, "DELETE_COMPLETE"})

    def protect(self, stack: str) -> None:
        """Refuse deletion of the stack until somebody lifts this by hand."""
        self._client.update_termination_protection(
            StackName=stack, EnableTerminationProtection=True
        )

    def _await_change_set(self, stack: str, change_set: str) -> Mapping[str, Any]:
        deadline = time.monotonic() + _SECONDS_MAX
        while time.monotonic() < deadline:
            found: Mapping[str, Any] = self._client.describe_change_set(
                StackName=stack, ChangeSetName=change_set
            )
            if found["Status"] == "CREATE_COMPLETE":
                return found
            if found["Status"] == "FAILED":
                reason = str(found.get("StatusReason", ""))
                if any(phrase in reason for phrase in _NOTHING_TO_DO):
                    return {}
                raise DeployFailed(f"{stack}: {reason}")
            time.sleep(self._poll_seconds)
        raise DeployFailed(f"{stack}: no change set after {_SECONDS_MAX} s")

    def _await(self, stack: str, ends: set[str | None]) -> None:
        deadline = time.monotonic() + _SECONDS_MAX
        while (status := self._status(stack)) not in ends:
            ended_badly = status is None or "FAILED" in status or "ROLLBACK_COMPLETE" in status
            if ended_badly or time.monotonic() > deadline:
                raise DeployFailed(f"{stack} is {status}: {self._reasons(stack)}")
            time.sleep(self._poll_seconds)

    def _status(self, stack: str) -> str | None:
        try:
            return str(self._client.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise

    def _reasons(self, stack: str) -> str:
        events = self._client.describe_stack_events(StackName=stack)["StackEvents"]
        reasons = [
            f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
            for event in events
            if event["ResourceStatus"].endswith("FAILED") and event.get("ResourceStatusReason")
        ]
        return "; ".join(reasons) or "CloudFormation gives no reason"


def _parameters(
    stack: str, template: Mapping[str, Any], image_tag: str | None, *, creates: bool
) -> list[dict[str, Any]]:
    if "ImageTag" not in template.get("Parameters", {}):
        return []
    if image_tag:
        return [{"ParameterKey": "ImageTag", "ParameterValue": image_tag}]
    if creates:
        raise DeployFailed(f"{stack} is new: push its image and say --image-tag TAG")
    return [{"ParameterKey": "ImageTag", "UsePreviousValue": True}]


def _change(change: Mapping[str, Any]) -> Change:
    return Change(
        action=change["Action"],
        logical_id=change["LogicalResourceId"],
        type=change["ResourceType"],
        replaced=change.get("Replacement") == "True",
    )


def main() -> int:
    """Deploy or, with --diff, only show; credentials and region are AWS's usual ones."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--env", choices=[e for e in ENVIRONMENTS if e != "local"], required=True)
    parser.add_argument("--stack", choices=["shared", "data", *SERVICES], required=True)
    parser.add_argument("--image-tag", help="left out: as deployed")
    parser.add_argument("--diff", action="store_true", help="show the changes, make none")
    arguments = parser.parse_args()
    stack = Names(arguments.env).stack(arguments.stack)
    deployer = Deployer(boto3.client("cloudformation"))
    try:
        plan = deployer.plan(
            stack,
            template_paths(arguments.env)[stack].read_text(),
            image_tag=arguments.image_tag,
        )
        for change in plan.changes:
            sys.stdout.write(f"{change}\n")
        if arguments.diff or not plan.changes:
            sys.stdout.write(f"{stack}: {len(plan.changes)} changes, nothing deployed\n")
            deployer.discard(plan)
            return 0
        deployer.carry_out(plan)
        if settings_for(arguments.env).keep_data and arguments.stack in {"shared", "data"}:
            deployer.protect(stack)
    except DeployFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{stack} is deployed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

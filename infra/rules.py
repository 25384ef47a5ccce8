"""Quarry's own rules for an environment's templates, committed or deployed. Pure.

A rule is a function from one template to faults; a fault says what is wrong and what to do.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from infra.settings import VISIBILITY_FACTOR
from infra.template import Resource, Template

Level = Literal["error", "warning"]

_EXAMPLE_DOMAINS = ("@example.com", "@example.org")
_PLAIN_HTTP = {"Bool": {"aws:SecureTransport": "false"}}
_ANYONE = frozenset({"0.0.0.0/0", "::/0"})


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that breaks a rule, and what to do about it."""

    level: Level
    stack: str
    subject: str
    rule: str
    explanation: str


def faults_of(template: Template) -> list[Fault]:
    """Return every fault of one stack, errors first; empty when it keeps all rules."""
    return sorted(
        Fault(level, template.stack, subject, rule, explanation)
        for rule, level, find in _RULES
        for subject, explanation in find(template)
    )


Found = Iterator[tuple[str, str]]


def _queues_park(template: Template) -> Found:
    parked = _dead_letter_ids(template)
    for queue in template.resources("AWS::SQS::Queue"):
        if queue.logical_id not in parked and "RedrivePolicy" not in queue.properties:
            yield (
                _name(template, queue),
                "A message that keeps failing would come back for ever; add a redrive policy.",
            )


def _dead_letters_are_of_the_queues_type(template: Template) -> Found:
    for queue, dead_letters in _redrives(template):
        if queue.properties.get("FifoQueue") != dead_letters.properties.get("FifoQueue"):
            yield (
                _name(template, queue),
                "SQS moves messages only between queues of one type; make both FIFO or neither.",
            )


def _dead_letters_outlive_messages(template: Template) -> Found:
    for queue, dead_letters in _redrives(template):
        kept = dead_letters.properties["MessageRetentionPeriod"]
        if kept <= queue.properties["MessageRetentionPeriod"]:
            yield (
                _name(template, queue),
                "A parked message keeps its age, so the DLQ must hold it longer than the queue.",
            )


def _visibility_covers_timeouts(template: Template) -> Found:
    for queue, function, _ in _mappings(template):
        least = VISIBILITY_FACTOR * function.properties["Timeout"]
        held = queue.properties["VisibilityTimeout"]
        if held < least:
            yield (
                _name(template, queue),
                f"Visibility {held} s is below {least} s (six timeouts): a batch would run twice.",
            )


def _partial_failures_are_reported(template: Template) -> Found:
    for queue, _, mapping in _mappings(template):
        if mapping.properties.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            yield (
                _name(template, queue),
                "One bad message would bring its whole batch back; report item failures.",
            )


def _everything_has_an_alarm(template: Template) -> Found:
    watched = {
        (alarm.properties["MetricName"], _referred(dimension["Value"]))
        for alarm in template.resources("AWS::CloudWatch::Alarm")
        for dimension in alarm.properties.get("Dimensions", [])
        if alarm.properties.get("AlarmActions")
    }
    parked = _dead_letter_ids(template)
    for resource in template.resources("AWS::SQS::Queue", "AWS::Lambda::Function"):
        if resource.type == "AWS::Lambda::Function":
            metrics = ["Errors", "Throttles"]
        elif resource.logical_id in parked:
            metrics = ["ApproximateNumberOfMessagesVisible"]
        else:
            metrics = ["ApproximateAgeOfOldestMessage"]
        for metric in metrics:
            if (metric, resource.logical_id) not in watched:
                yield (
                    _name(template, resource),
                    f"Nobody is told about {metric}; add an alarm with an action.",
                )


def _buckets_are_private(template: Template) -> Found:
    for bucket in template.resources("AWS::S3::Bucket"):
        block = bucket.properties.get("PublicAccessBlockConfiguration", {})
        keys = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
        if not all(block.get(key) for key in keys):
            yield (
                _name(template, bucket),
                "The bucket could be made public; block all four kinds of public access.",
            )


def _databases_are_private(template: Template) -> Found:
    for database in template.resources("AWS::RDS::DBCluster", "AWS::RDS::DBInstance"):
        if database.properties.get("PubliclyAccessible"):
            yield (
                database.logical_id,
                "The database has a public address; it belongs in the isolated network.",
            )


def _nobody_connects_from_anywhere(template: Template) -> Found:
    for resource in template.resources("AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupIngress"):
        inline = resource.type == "AWS::EC2::SecurityGroup"
        rules = (
            resource.properties.get("SecurityGroupIngress", []) if inline else [resource.properties]
        )
        if any({rule.get("CidrIp"), rule.get("CidrIpv6")} & _ANYONE for rule in rules):
            yield resource.logical_id, "Everybody may connect; name the security group that may."


def _queues_demand_tls(template: Template) -> Found:
    for queue in template.resources("AWS::SQS::Queue"):
        statements = [
            statement
            for policy in template.resources("AWS::SQS::QueuePolicy")
            if {"Ref": queue.logical_id} in policy.properties["Queues"]
            for statement in policy.properties["PolicyDocument"]["Statement"]
        ]
        if not any(s["Effect"] == "Deny" and s.get("Condition") == _PLAIN_HTTP for s in statements):
            yield (
                _name(template, queue),
                "Messages could travel unencrypted; deny requests without TLS.",
            )


def _logs_end(template: Template) -> Found:
    groups = template.resources("AWS::Logs::LogGroup")
    for group in groups:
        if "RetentionInDays" not in group.properties:
            yield (
                group.logical_id,
                "Logs would be kept, and paid for, for ever; set a retention.",
            )
    declared = {template.text(group.properties.get("LogGroupName", "")) for group in groups}
    for function in template.resources("AWS::Lambda::Function"):
        if f"/aws/lambda/{_name(template, function)}" not in declared:
            yield (
                _name(template, function),
                "Lambda would make a log group that never ends; declare one with a retention.",
            )


def _rules_keep_what_they_cannot_deliver(template: Template) -> Found:
    for rule in template.resources("AWS::Events::Rule"):
        for target in rule.properties["Targets"]:
            queue = _referred(target.get("DeadLetterConfig", {}).get("Arn"))
            if queue is None or template.named(queue).properties.get("FifoQueue"):
                yield (
                    _name(template, rule),
                    "What cannot be delivered would be lost; add a standard queue, not FIFO.",
                )


def _stacks_stand_alone(template: Template) -> Found:
    exported = any("Export" in o for o in template.document.get("Outputs", {}).values())
    if exported or "Fn::ImportValue" in json.dumps(template.document):
        yield (
            template.stack,
            "An export locks two stacks together; find the resource by its name instead.",
        )


def _alarms_reach_somebody(template: Template) -> Found:
    for subscription in template.resources("AWS::SNS::Subscription"):
        address = str(subscription.properties.get("Endpoint", ""))
        if address.endswith(_EXAMPLE_DOMAINS):
            yield address, "Nobody reads this address; set alarm_email in infra/settings.py."


def _name(template: Template, resource: Resource) -> str:
    return template.text({"Ref": resource.logical_id})


def _referred(value: Any) -> str | None:
    """Return the logical id that a `Ref` or `Fn::GetAtt` points to."""
    if not isinstance(value, dict):
        return None
    if "Fn::GetAtt" in value:
        return str(value["Fn::GetAtt"][0])
    return str(value["Ref"]) if "Ref" in value else None


def _redrives(template: Template) -> Iterator[tuple[Resource, Resource]]:
    for queue in template.resources("AWS::SQS::Queue"):
        target = _referred(queue.properties.get("RedrivePolicy", {}).get("deadLetterTargetArn"))
        if target is not None:
            yield queue, template.named(target)


def _dead_letter_ids(template: Template) -> set[str | None]:
    ids: set[str | None] = {dead_letters.logical_id for _, dead_letters in _redrives(template)}
    for rule in template.resources("AWS::Events::Rule"):
        for target in rule.properties["Targets"]:
            ids.add(_referred(target.get("DeadLetterConfig", {}).get("Arn")))
    return ids


def _mappings(template: Template) -> Iterator[tuple[Resource, Resource, Resource]]:
    for mapping in template.resources("AWS::Lambda::EventSourceMapping"):
        queue = _referred(mapping.properties["EventSourceArn"])
        function = _referred(mapping.properties["FunctionName"])
        if queue is not None and function is not None:
            yield template.named(queue), template.named(function), mapping


_RULES: tuple[tuple[str, Level, Callable[[Template], Found]], ...] = (
    ("dead-letter queue", "error", _queues_park),
    ("dead-letter queue type", "error", _dead_letters_are_of_the_queues_type),
    ("retention", "error", _dead_letters_outlive_messages),
    ("visibility", "error", _visibility_covers_timeouts),
    ("partial failures", "error", _partial_failures_are_reported),
    ("alarm", "error", _everything_has_an_alarm),
    ("public access", "error", _buckets_are_private),
    ("public access", "error", _databases_are_private),
    ("public access", "error", _nobody_connects_from_anywhere),
    ("TLS", "error", _queues_demand_tls),
    ("undelivered events", "error", _rules_keep_what_they_cannot_deliver),
    ("independence", "error", _stacks_stand_alone),
    ("log retention", "warning", _logs_end),
    ("alarm address", "warning", _alarms_reach_somebody),
)

"""Reads a synthesised or deployed CloudFormation template: resources, values, permissions. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Resource:
    """One resource of a template."""

    logical_id: str
    type: str
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class Template:
    """One stack's template; `document` is its JSON."""

    stack: str
    document: Mapping[str, Any]

    def resources(self, *types: str) -> list[Resource]:
        """Return the resources of the given types, or all."""
        return [
            Resource(logical_id, body["Type"], body.get("Properties", {}))
            for logical_id, body in self.document.get("Resources", {}).items()
            if not types or body["Type"] in types
        ]

    def named(self, logical_id: str) -> Resource:
        """Return the resource under a logical id; KeyError if there is none."""
        body = self.document["Resources"][logical_id]
        return Resource(logical_id, body["Type"], body.get("Properties", {}))

    def text(self, value: Any) -> str:
        """Render a value with intrinsic functions as one string.

        Pseudo parameters become `{Region}`, an SSM parameter its path, and a reference to a
        resource of this template that resource's ARN or name where the template says it.
        """
        if not isinstance(value, Mapping):
            return str(value)
        (function, argument), *rest = value.items()
        if rest:
            raise ValueError(f"not an intrinsic function: {value}")
        if function == "Ref":
            return self._reference(str(argument))
        if function == "Fn::Join":
            separator, parts = argument
            return str(separator).join(self.text(part) for part in parts)
        if function == "Fn::GetAtt":
            logical_id, attribute = argument
            return self._attribute(logical_id, attribute)
        raise ValueError(f"{self.stack} uses {function}, which is not rendered yet")

    def statements(self, role: str) -> Iterator[Mapping[str, Any]]:
        """Yield the policy statements attached to the role with this logical id."""
        for policy in self.resources("AWS::IAM::Policy"):
            if {"Ref": role} in policy.properties.get("Roles", []):
                yield from policy.properties["PolicyDocument"]["Statement"]
        for inline in self.named(role).properties.get("Policies", []):
            yield from inline["PolicyDocument"]["Statement"]

    def permissions(self, role: str) -> set[tuple[str, str]]:
        """Return every (action, resource) the role is allowed."""
        return {
            (action, self.text(resource))
            for statement in self.statements(role)
            if statement["Effect"] == "Allow"
            for action in as_list(statement["Action"])
            for resource in as_list(statement["Resource"])
        }

    def _reference(self, name: str) -> str:
        if name.startswith("AWS::"):
            return "{" + name.removeprefix("AWS::") + "}"
        parameter = self.document.get("Parameters", {}).get(name)
        if parameter:
            return "{" + str(parameter.get("Default", name)) + "}"
        resource = self.named(name)
        for key in ("QueueName", "FunctionName", "TopicName", "BucketName", "TableName", "Name"):
            if key in resource.properties:
                return self.text(resource.properties[key])
        return "{" + name + "}"

    def _attribute(self, logical_id: str, attribute: str) -> str:
        resource = self.named(logical_id)
        if attribute == "Arn" and resource.type in _ARN_PREFIXES:
            return _ARN_PREFIXES[resource.type] + self._reference(logical_id)
        return "{" + f"{logical_id}.{attribute}" + "}"


_HERE = "{Region}:{AccountId}"
_ARN_PREFIXES = {
    "AWS::SQS::Queue": f"arn:{{Partition}}:sqs:{_HERE}:",
    "AWS::S3::Bucket": "arn:{Partition}:s3:::",
    "AWS::Lambda::Function": f"arn:{{Partition}}:lambda:{_HERE}:function:",
    "AWS::Logs::LogGroup": f"arn:{{Partition}}:logs:{_HERE}:log-group:",
}


def as_list(value: Any) -> list[Any]:
    """Return a policy's one-or-many value as a list."""
    return list(value) if isinstance(value, list) else [value]

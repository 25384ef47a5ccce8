"""What `quarry doctor` says about an environment: rules broken, and drift from what is committed.

Needs no Node and no CDK: it reads the committed templates, and with a client the deployed ones.
"""

import json
from collections.abc import Mapping
from typing import Any

from infra.names import Environment, stack_names
from infra.rules import Fault, faults_of
from infra.template import Template
from infra.templates import template_paths

Templates = Mapping[str, Template]


def examine_committed(env: Environment) -> list[Fault]:
    """Return the faults of the committed templates, errors first."""
    return _examine(committed_templates(env))


def examine_deployed(env: Environment, cloudformation: Any) -> list[Fault]:
    """Return the faults of what is deployed and how it differs from what is committed.

    `cloudformation` is boto3's client for the environment's account and region.
    """
    deployed = deployed_templates(env, cloudformation)
    return _examine(deployed) + drift(committed_templates(env), deployed)


def committed_templates(env: Environment) -> Templates:
    """Read the environment's committed templates."""
    return {
        name: Template(name, json.loads(path.read_text()))
        for name, path in template_paths(env).items()
    }


def deployed_templates(env: Environment, cloudformation: Any) -> Templates:
    """Fetch the templates of the environment's stacks, as far as they are deployed."""
    pages = cloudformation.get_paginator("describe_stacks").paginate()
    existing = {
        stack["StackName"]
        for page in pages
        for stack in page["Stacks"]
        if stack["StackStatus"] not in {"DELETE_COMPLETE", "REVIEW_IN_PROGRESS"}
    }
    found: dict[str, Template] = {}
    for name in stack_names(env):
        if name in existing:
            body = cloudformation.get_template(StackName=name)["TemplateBody"]
            found[name] = Template(name, json.loads(body) if isinstance(body, str) else body)
    return found


def drift(committed: Templates, deployed: Templates) -> list[Fault]:
    """Compare what is deployed with what is committed, resource by resource."""
    found: list[Fault] = []
    for name, wanted in committed.items():
        if name not in deployed:
            missing = "The stack is committed but not deployed; deploy it."
            found.append(Fault("error", name, name, "drift", missing))
            continue
        ours, theirs = wanted.document["Resources"], deployed[name].document["Resources"]
        for logical_id in sorted({*ours, *theirs}):
            explanation = _difference(ours.get(logical_id), theirs.get(logical_id))
            if explanation:
                found.append(Fault("error", name, logical_id, "drift", explanation))
    return found


def _difference(ours: Any, theirs: Any) -> str | None:
    if ours == theirs:
        return None
    if theirs is None:
        return "Committed but not deployed; deploy the stack."
    if ours is None:
        return "Deployed but not committed; deploying the stack will remove it."
    return "Deployed with other properties than committed; deploy the stack."


def _examine(templates: Templates) -> list[Fault]:
    return sorted(fault for template in templates.values() for fault in faults_of(template))

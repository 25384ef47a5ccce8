"""What is published is what the code does, and anyone's tools can read it."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate as validate_openapi

from contracts import messages, packet_request
from contracts.channels import CHANNELS
from contracts.compat_samples import samples
from contracts.compat_structure import inlined
from contracts.export import published_files, published_schemas
from contracts.messages import Payload
from contracts.reading import read
from infra.names import Names
from infra.templates import template_paths

COMMITTED = Path(__file__).parents[2] / "contracts" / "schemas"
SCHEMAS = published_schemas()
ASYNCAPI = json.loads(published_files()["asyncapi.json"])


def fields(schema: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name, field in schema.get("properties", {}).items():
        found.append((f"{path}{name}", field))
        found += fields(field, f"{path}{name}.")
        found += fields(field.get("items", {}), f"{path}{name}[].")
    return found


def test_the_committed_files_are_a_fresh_export() -> None:
    committed = {path.name: path.read_text() for path in COMMITTED.glob("*.json")}
    assert committed == published_files()


def test_every_message_type_has_a_channel() -> None:
    known = [*vars(messages).values(), *vars(packet_request).values()]
    classes = [value for value in known if isinstance(value, type)]
    typed = {kind for kind in classes if issubclass(kind, Payload) and "type" in vars(kind)}
    assert {channel.payload for channel in CHANNELS} == typed


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_follows_the_2020_12_dialect(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_field_has_a_title_and_says_what_it_is(name: str) -> None:
    whole = inlined(SCHEMAS[name])
    assert whole["description"]
    silent = [path for path, field in fields(whole) if not field.get("description")]
    nameless = [path for path, field in fields(whole) if not field.get("title")]
    assert (silent, nameless) == ([], [])


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_published_example_follows_its_schema_and_is_read(name: str) -> None:
    (example,) = SCHEMAS[name]["examples"]
    Draft202012Validator(SCHEMAS[name]).validate(example)
    assert read(name.split(".", maxsplit=1)[0], json.dumps(example)).refused is None


@pytest.mark.parametrize("name", SCHEMAS)
def test_whatever_follows_a_schema_is_read(name: str) -> None:
    validator = Draft202012Validator(SCHEMAS[name])
    for document in islice(samples(SCHEMAS[name], Random(7)), 200):  # noqa: S311  # repeatable
        validator.validate(document)
        assert read(name.split(".", maxsplit=1)[0], json.dumps(document)).refused is None, document


def test_samples_of_one_seed_are_always_the_same() -> None:
    schema = SCHEMAS["LoadTable.v1"]
    first, again = (list(islice(samples(schema, Random(1)), 20)) for _ in range(2))  # noqa: S311  # repeatable
    assert first == again


def test_the_openapi_document_is_valid() -> None:
    validate_openapi(json.loads((COMMITTED / "openapi.json").read_text()))


def resources(kind: str) -> list[dict[str, Any]]:
    """Return the properties of every resource of a kind that is deployed to prod."""
    return [
        resource["Properties"]
        for path in template_paths("prod").values()
        for resource in json.loads(path.read_text())["Resources"].values()
        if resource["Type"] == kind
    ]


def in_prod(address: str) -> str:
    return address.replace("{env}", "prod")


def test_the_asyncapi_document_describes_the_queues_that_are_deployed() -> None:
    described = {
        in_prod(channel["address"]): channel["bindings"]["sqs"]["queue"]
        for channel in ASYNCAPI["channels"].values()
        if "sqs" in channel["bindings"]
    }
    deployed = {queue["QueueName"]: queue for queue in resources("AWS::SQS::Queue")}
    # Where the bus's rule leaves what it cannot deliver is no channel: nobody reads or sends there.
    assert deployed.keys() - described.keys() == {Names("prod").folder_complete_rule_dlq}
    for name, queue in described.items():
        made = deployed[name]
        assert queue["fifoQueue"] == made.get("FifoQueue", False)
        assert queue.get("deduplicationScope", "queue") == made.get("DeduplicationScope", "queue")
        redrive = queue.get("redrivePolicy", {}).get("maxReceiveCount")
        assert redrive == made.get("RedrivePolicy", {}).get("maxReceiveCount")


def test_the_asyncapi_document_describes_the_bus_and_the_rule_that_are_deployed() -> None:
    (bus,) = resources("AWS::Events::EventBus")
    assert in_prod(ASYNCAPI["channels"]["bus"]["address"]) == bus["Name"]
    binding = ASYNCAPI["operations"]["ruleForwardsFolderComplete"]["bindings"]["x-eventbridge"]
    (rule,) = (r for r in resources("AWS::Events::Rule") if r.get("EventBusName") == bus["Name"])
    assert binding["pattern"] == rule["EventPattern"]
    assert binding["inputPath"] == rule["Targets"][0]["InputPath"]


def test_every_reference_inside_the_asyncapi_document_leads_somewhere() -> None:
    document = json.loads((COMMITTED / "asyncapi.json").read_text())
    references = list(_references(document))
    assert len(references) > 20
    for reference in references:
        node = document
        for step in reference.removeprefix("#/").split("/"):
            assert step in node, reference
            node = node[step]


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if str(node.get("$ref", "")).startswith("#/"):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from _references(item)

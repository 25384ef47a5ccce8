"""What the services really send, taken off the wire, against what is published."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from jsonschema import Draft202012Validator

from contracts.channels import CHANNELS, STORED_DOCUMENTS
from contracts.export import published_schemas
from contracts.packet_record import PacketRecord
from infra.names import SERVICES
from tests.contracts.running_services import NAMES, RunningServices

REQUEST = {
    "dataset": "call_reports",
    "start_year": 2013,
    "start_quarter": 1,
    "end_year": 2013,
    "end_quarter": 1,
}
# What only people send is not captured here: `test_requests.py` and the pipeline tests send it.
SENT = [channel.payload for channel in CHANNELS if set(channel.senders) & set(SERVICES)]
TABLES = 3  # rc, por and the dictionary
VALIDATORS = {name: Draft202012Validator(s) for name, s in published_schemas().items()}


@dataclass
class Wire:
    """Bodies by the name of their type, byte for byte as they were received."""

    bodies: dict[str, list[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def wire(services: RunningServices) -> Iterator[Wire]:
    """One small quarter through all services, each message taken off its queue on the way."""
    for service in SERVICES:
        services.drain(service)
    completions = completions_queue(services)
    bodies: dict[str, list[str]] = {}
    assert services.treat("generator", json.dumps(REQUEST)) == []
    bodies["CollectFolder"] = taken(services, services.queue_url("collector"))
    assert services.treat("collector", bodies["CollectFolder"][0]) == []
    bodies["FolderComplete"] = taken(services, services.queue_url("processor"))
    assert services.treat("processor", bodies["FolderComplete"][0]) == []
    bodies["LoadTable"] = taken(services, services.queue_url("loader"), TABLES)
    for body in bodies["LoadTable"]:
        assert services.treat("loader", body) == []
    bodies["LoadComplete"] = taken(services, completions, TABLES)
    bodies["Manifest"] = [manifest(services, bodies["FolderComplete"][0])]
    bodies["StepRecord"] = steps(services, bodies["CollectFolder"][0])
    yield Wire(bodies)
    assert services.parked("loader") == []


def taken(services: RunningServices, queue_url: str, count: int = 1) -> list[str]:
    found = [message["Body"] for message in services.receive(queue_url, limit=count)]
    assert len(found) == count
    return found


def completions_queue(services: RunningServices) -> str:
    """Return a queue that a rule of the bus fills with LoadComplete events."""
    name = f"test-{uuid4().hex}"
    url: str = services.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    events = services.client("events")
    pattern = {"source": ["quarry.loader"], "detail-type": ["LoadComplete"]}
    events.put_rule(Name=name, EventBusName=NAMES.bus, EventPattern=json.dumps(pattern))
    target = {"Id": "queue", "Arn": NAMES.arn("sqs", name), "InputPath": "$.detail"}
    events.put_targets(Rule=name, EventBusName=NAMES.bus, Targets=[target])
    return url


def manifest(services: RunningServices, event: str) -> str:
    place = json.loads(event)["payload"]["manifest"]
    stored = services.client("s3").get_object(Bucket=place["bucket"], Key=place["key"])
    text: str = stored["Body"].read().decode()
    return text


def steps(services: RunningServices, command: str) -> list[str]:
    found = services.client("dynamodb").query(
        TableName=NAMES.runs_table,
        KeyConditionExpression="run_id = :run",
        ExpressionAttributeValues={":run": {"S": json.loads(command)["run_id"]}},
    )
    return [item["body"]["S"] for item in found["Items"]]


@pytest.mark.parametrize("payload", SENT, ids=lambda payload: payload.type)
def test_every_message_sent_follows_its_published_schema(wire: Wire, payload: Any) -> None:
    schema = VALIDATORS[f"{payload.type}.v{payload.version}"]
    assert wire.bodies[payload.type]
    for body in wire.bodies[payload.type]:
        schema.validate(json.loads(body))


# A run of call reports writes no packets; those of a database are read back in its pipeline test.
WRITTEN = [kept for kept in STORED_DOCUMENTS if kept.model is not PacketRecord]


@pytest.mark.parametrize("document", WRITTEN, ids=lambda kept: kept.model.__name__)
def test_every_document_stored_follows_its_published_schema(wire: Wire, document: Any) -> None:
    name = document.model.__name__
    assert wire.bodies[name]
    for body in wire.bodies[name]:
        VALIDATORS[f"{name}.v1"].validate(json.loads(body))


def test_a_message_with_a_fault_would_not_pass(wire: Wire) -> None:
    document = json.loads(wire.bodies["LoadTable"][0])
    del document["payload"]["rows"]
    assert not VALIDATORS["LoadTable.v2"].is_valid(document)

"""Whatever lies in a queue: its reader does the work, or parks it raw with the reason."""

import json
from itertools import islice
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest

from contracts.channels import CHANNELS, Channel
from contracts.compat_samples import samples
from contracts.export import published_schemas, schema_name
from contracts.upcast import versions_of
from infra.names import Service
from tests.contracts.malformed import full_to_the_last_byte, malformed, odd_but_right
from tests.contracts.running_services import RunningServices

SCHEMAS = published_schemas()
READ = [channel for channel in CHANNELS if channel.queue_of]
LAST_ATTEMPT = 5  # maxReceiveCount of the local queues
GENERATED = 8
EXAMPLES = Path(__file__).parents[2] / "contracts" / "examples"
RELEASED = sorted(
    path for channel in READ for path in EXAMPLES.glob(f"{channel.payload.type}.v*.json")
)


def example(channel: Channel) -> str:
    """Return a body that is right, of a run nobody has seen."""
    name = schema_name(channel.payload.type, channel.payload.version)
    document = SCHEMAS[name]["examples"][0] | {"run_id": uuid4().hex}
    return json.dumps(document, separators=(",", ":"))


def owner(channel: Channel) -> Service:
    assert channel.queue_of is not None
    return channel.queue_of


@pytest.mark.parametrize("channel", READ, ids=lambda channel: channel.payload.type)
def test_a_malformed_body_is_parked_raw_with_its_reason(
    services: RunningServices, channel: Channel
) -> None:
    service = owner(channel)
    bodies = malformed(example(channel))

    given_back = {what for what, body in bodies.items() if services.treat(service, body)}

    parked = services.parked(service)
    assert given_back == set()
    assert sorted(body for body, _ in parked) == sorted(bodies.values())
    assert {facts["error_type"] for _, facts in parked} == {"InvalidMessage"}
    assert all(facts["reason"] and facts["fingerprint"] for _, facts in parked)


# aiohttp's advice for bodies above 1 MiB, which a full message with its parameters just exceeds.
@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
@pytest.mark.parametrize("channel", READ, ids=lambda channel: channel.payload.type)
def test_a_body_of_the_greatest_size_is_parked_raw_too(
    services: RunningServices, channel: Channel
) -> None:
    service = owner(channel)
    bodies = full_to_the_last_byte(example(channel))
    given_back = {what for what, body in bodies.items() if services.treat(service, body)}
    assert given_back == set()
    assert {body for body, _ in services.parked(service)} == set(bodies.values())


@pytest.mark.parametrize("channel", READ, ids=lambda channel: channel.payload.type)
def test_a_strange_body_that_is_right_is_not_refused(
    services: RunningServices, channel: Channel
) -> None:
    service = owner(channel)
    for body in odd_but_right(example(channel)).values():
        services.treat(service, body, attempt=LAST_ATTEMPT)
    assert "InvalidMessage" not in {facts["error_type"] for _, facts in services.parked(service)}


@pytest.mark.parametrize("channel", READ, ids=lambda channel: channel.payload.type)
def test_any_message_of_the_schema_is_handled_or_parked_and_never_loops(
    services: RunningServices, channel: Channel
) -> None:
    service = owner(channel)
    for version in versions_of(channel.payload):
        schema = SCHEMAS[schema_name(version.type, version.version)]
        for document in islice(samples(schema, Random(3)), GENERATED):  # noqa: S311  # repeatable
            body = json.dumps(document)
            assert services.treat(service, body, attempt=LAST_ATTEMPT) == [], body
    parked = services.parked(service)
    assert all(facts["reason"] for _, facts in parked)
    assert "InvalidMessage" not in {facts["error_type"] for _, facts in parked}


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.name)
def test_every_released_message_is_handled_or_parked_with_a_reason(
    services: RunningServices, path: Path
) -> None:
    service = next(owner(c) for c in READ if path.name.startswith(f"{c.payload.type}."))
    assert services.treat(service, path.read_text(), attempt=LAST_ATTEMPT) == []
    parked = services.parked(service)
    assert all(facts["reason"] for _, facts in parked)
    assert "InvalidMessage" not in {facts["error_type"] for _, facts in parked}

"""The AsyncAPI 3 document: every queue, dead-letter queue and the bus, who sends, who receives."""

from typing import Any

from contracts.channels import CHANNELS, Channel, Service
from contracts.upcast import versions_of

Json = dict[str, Any]
_SQS_BINDING = "0.2.0"
# EventBridge has no binding of its own in AsyncAPI; extensions are how others describe it.
_EVENTBRIDGE = "x-eventbridge"
_ENV: Json = {"env": {"$ref": "#/components/parameters/env"}}


def asyncapi_document(schemas: dict[str, Json]) -> Json:
    """Return the document; message payloads point at the schema files beside it."""
    queued = [channel for channel in CHANNELS if channel.queue_of]
    channels: Json = {"bus": _bus()}
    for channel in queued:
        for place, found in (
            (f"{channel.queue_of}Queue", _queue(channel)),
            (f"{channel.queue_of}DeadLetterQueue", _dead_letter_queue(channel)),
        ):
            # A queue may carry several types of message.
            known = channels.get(place, {"messages": {}})["messages"]
            channels[place] = found | {"messages": known | found["messages"]}
    return {
        "asyncapi": "3.0.0",
        "id": "urn:quarry:contracts",
        "info": {
            "title": "Quarry",
            "version": "1.0.0",
            "description": "Every message between Quarry's services, on SQS and EventBridge.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": _operations(),
        "components": {
            "parameters": {
                "env": {
                    "description": "The environment.",
                    "enum": ["local", "dev", "prod"],
                    "examples": ["local"],
                }
            },
            "messages": _messages(schemas),
        },
    }


def queue_address(service: Service, *, dead_letters: bool, fifo: bool) -> str:
    """Return the queue's name with `{env}` for the environment."""
    return f"quarry-{{env}}-{service}{'-dlq' if dead_letters else ''}{'.fifo' if fifo else ''}"


def message_names(channel: Channel) -> list[str]:
    """Return the schemas a body on this channel may follow, newest first."""
    enveloped = [f"{version.type}.v{version.version}" for version in versions_of(channel.payload)]
    return enveloped + [f"{name}.bare" for name in enveloped if channel.bare]


def _messages(schemas: dict[str, Json]) -> Json:
    messages: Json = {}
    for channel in CHANNELS:
        for name in message_names(channel):
            schema_name = name.removesuffix(".bare")
            schema = schemas[schema_name]
            bare = name != schema_name
            example = schema["examples"][0]
            payload_definition = schema["properties"]["payload"]["$ref"]
            messages[name] = {
                "name": schema_name,
                "title": f"{schema['title']}{', without its envelope' if bare else ''}",
                "summary": schema["description"].split("\n\n")[0],
                "contentType": "application/json",
                "payload": {
                    "$ref": f"./{schema_name}.json{payload_definition if bare else ''}",
                },
                "examples": [{"payload": example["payload"] if bare else example}],
            }
            if not bare:
                messages[name]["correlationId"] = {"location": "$message.payload#/run_id"}
    return messages


def _message_references(channel: Channel) -> Json:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in message_names(channel)}


def _fifo(channel: Channel) -> bool:
    return channel.via == "fifo_queue"


def _queue(channel: Channel) -> Json:
    service = _owner(channel)
    fifo = _fifo(channel)
    address = queue_address(service, dead_letters=False, fifo=fifo)
    dead_letters = queue_address(service, dead_letters=True, fifo=fifo)
    queue: Json = {
        "name": address,
        "fifoQueue": fifo,
        "redrivePolicy": {"deadLetterQueue": {"name": dead_letters}, "maxReceiveCount": 5},
    }
    if fifo:
        queue |= {"deduplicationScope": "queue", "fifoThroughputLimit": "perQueue"}
    return {
        "address": address,
        "title": f"The queue the {service} reads",
        "messages": _message_references(channel),
        "parameters": _ENV,
        "bindings": {
            "sqs": {
                "queue": queue,
                "deadLetterQueue": {"name": dead_letters, "fifoQueue": fifo},
                "bindingVersion": _SQS_BINDING,
            }
        },
    }


def _dead_letter_queue(channel: Channel) -> Json:
    service = _owner(channel)
    address = queue_address(service, dead_letters=True, fifo=_fifo(channel))
    return {
        "address": address,
        "title": f"Where the {service} parks messages",
        "description": (
            "The body as it arrived, byte for byte, so it need not follow any schema. The message "
            "attributes reason, error_type, fingerprint, traceback, service, parked_at, "
            "original_message_id and receive_count say what happened to it."
        ),
        "messages": _message_references(channel),
        "parameters": _ENV,
        "bindings": {
            "sqs": {
                "queue": {"name": address, "fifoQueue": _fifo(channel)},
                "bindingVersion": _SQS_BINDING,
            }
        },
    }


def _bus() -> Json:
    events = [channel for channel in CHANNELS if channel.event]
    return {
        "address": "quarry-{env}",
        "title": "The EventBridge bus",
        "description": "The envelope is the event's detail; rules hand it on to queues unwrapped.",
        "messages": {
            name: reference
            for channel in events
            for name, reference in _message_references(channel).items()
        },
        "parameters": _ENV,
        "bindings": {
            _EVENTBRIDGE: {
                "eventBusName": "quarry-{env}",
                "events": [
                    {"source": f"quarry.{sender}", "detail-type": channel.payload.type}
                    for channel in events
                    for sender in channel.senders
                ],
            }
        },
    }


def _operations() -> Json:
    operations: Json = {}
    for channel in CHANNELS:
        message = channel.payload.type
        for sender in channel.senders:
            operations[f"{sender}Sends{message}"] = _operation(
                "send", channel, "bus" if channel.event else f"{channel.queue_of}Queue", sender
            )
        if channel.queue_of is None:
            continue
        reader = channel.queue_of
        operations[f"{reader}Receives{message}"] = _operation(
            "receive", channel, f"{reader}Queue", reader
        )
        operations[f"{reader}Parks{message}"] = _operation(
            "send", channel, f"{reader}DeadLetterQueue", reader
        )
        if channel.event:
            operations[f"ruleForwards{message}"] = _forwarding(channel)
    return operations


def _operation(action: str, channel: Channel, place: str, party: str) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{place}"},
        "messages": [
            {"$ref": f"#/channels/{place}/messages/{name}"} for name in message_names(channel)
        ],
        "tags": [{"name": party}],
    }


def _forwarding(channel: Channel) -> Json:
    operation = _operation("send", channel, f"{channel.queue_of}Queue", "eventbridge")
    sources = [f"quarry.{sender}" for sender in channel.senders]
    return operation | {
        "summary": "A rule of the bus hands the event's detail to the queue.",
        "bindings": {
            _EVENTBRIDGE: {
                "pattern": {"source": sources, "detail-type": [channel.payload.type]},
                "inputPath": "$.detail",
            }
        },
    }


def _owner(channel: Channel) -> Service:
    if channel.queue_of is None:
        raise ValueError(f"{channel.payload.type} ends in no queue")
    return channel.queue_of

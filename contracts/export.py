"""The published form of the contracts: JSON Schema of every message, AsyncAPI, OpenAPI. Pure."""

import json
from collections.abc import Mapping
from inspect import cleandoc
from typing import Any

from pydantic import BaseModel

from contracts.asyncapi import asyncapi_document
from contracts.channels import CHANNELS, STORED_DOCUMENTS
from contracts.envelope import Envelope
from contracts.messages import Payload
from contracts.model import Contract
from contracts.openapi import openapi_document
from contracts.upcast import versions_of

JsonSchema = dict[str, Any]
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def published_schemas() -> dict[str, JsonSchema]:
    """Return every schema by `{type}.v{version}`: each version in use, newest first per type."""
    messages = {
        schema_name(version.type, version.version): message_schema(version)
        for channel in CHANNELS
        for version in versions_of(channel.payload)
    }
    documents = {
        schema_name(document.model.__name__, document.version): document_schema(
            document.model, document.version
        )
        for document in STORED_DOCUMENTS
    }
    return {
        name: schema | {"examples": [example_of(schema, schema)]}
        for name, schema in (messages | documents).items()
    }


def published_files() -> dict[str, str]:
    """Return the text of every file in `contracts/schemas/` by file name."""
    schemas = published_schemas()
    documents: Mapping[str, JsonSchema] = {
        **{f"{name}.json": schema for name, schema in schemas.items()},
        "asyncapi.json": asyncapi_document(schemas),
        "openapi.json": openapi_document(),
    }
    return {
        name: json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        for name, document in documents.items()
    }


def schema_name(type_name: str, version: int) -> str:
    """Return the name a schema is published under."""
    return f"{type_name}.v{version}"


def message_schema(payload_type: type[Payload]) -> JsonSchema:
    """Return the schema of a whole body: the envelope around one version of one payload."""
    schema = Envelope[payload_type].model_json_schema()  # type: ignore[valid-type]  # runtime generic
    schema["properties"]["type"] |= {"const": payload_type.type}
    schema["properties"]["version"] |= {"const": payload_type.version}
    described = _described(payload_type)
    schema["description"] = f"{described}\n\n{_described(Envelope)}"
    return _publish(schema, payload_type.type, payload_type.version)


def document_schema(model: type[Contract], version: int) -> JsonSchema:
    """Return the schema of a stored document."""
    return _publish(model.model_json_schema(), model.__name__, version)


def _publish(schema: JsonSchema, type_name: str, version: int) -> JsonSchema:
    return {
        "$schema": _DIALECT,
        "$id": f"urn:quarry:{schema_name(type_name, version)}",
        **schema,
        "title": f"{type_name} version {version}",
    }


def _described(model: type[BaseModel]) -> str:
    return cleandoc(model.__doc__ or "")


def example_of(schema: JsonSchema, root: JsonSchema) -> Any:
    """Compose an example from the examples of the fields; `root` holds the `$defs`.

    Raises:
        ValueError: a field has no example and none follows from its type.
    """
    if "$ref" in schema:
        return example_of(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    given = [schema["const"]] if "const" in schema else schema.get("examples", schema.get("enum"))
    if given:
        return given[0]
    if "anyOf" in schema:
        first = schema["anyOf"][0]
        return schema["default"] if first.keys() == {"type"} else example_of(first, root)
    if "properties" in schema:
        values = {name: example_of(field, root) for name, field in schema["properties"].items()}
        return {name: value for name, value in values.items() if value is not None}
    if schema.get("type") == "array":
        return [example_of(schema["items"], root)] if "$ref" in schema["items"] else []
    if "default" in schema:
        return schema["default"]
    raise ValueError(f"give {schema.get('title', schema)} an example in contracts/")

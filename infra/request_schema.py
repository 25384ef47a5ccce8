"""The contract's schema in the dialect API Gateway's models understand. Pure."""

from typing import Any

from contracts import GenerateRequest

# JSON Schema draft 4, less what API Gateway does not validate; the rest is documentation.
_UNDERSTOOD = ("type", "minimum", "maximum", "pattern", "minLength", "maxLength", "enum", "format")


def request_schema() -> dict[str, Any]:
    """Return what `POST /runs` accepts: a bare `GenerateRequest`."""
    schema = GenerateRequest.model_json_schema()
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": schema["title"],
        "type": "object",
        "required": schema["required"],
        "properties": {
            name: _property(field) for name, field in sorted(schema["properties"].items())
        },
    }


def _property(field: dict[str, Any]) -> dict[str, Any]:
    # An optional field is "integer or null" to pydantic.
    choices = [choice for choice in field.get("anyOf", [field]) if choice.get("type") != "null"]
    if len(choices) != 1:
        raise ValueError(f"API Gateway's dialect has one type a field, not {choices}")
    return {key: choices[0][key] for key in _UNDERSTOOD if key in choices[0]}

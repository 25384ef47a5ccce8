"""Changing a parked message, and whether its service would accept the result."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from contracts import (
    CollectFolder,
    FolderComplete,
    GenerateRequest,
    InvalidMessage,
    LoadTable,
    open_envelope,
    open_request,
)
from infra.names import Service
from ops.dlq.message import load_object

_READERS: dict[Service, Callable[[str], object]] = {
    "generator": lambda body: open_request(body, GenerateRequest, message_id="edited"),
    "collector": lambda body: open_envelope(body, CollectFolder),
    "processor": lambda body: open_envelope(body, FolderComplete),
    "loader": lambda body: open_envelope(body, LoadTable),
}


class InvalidEdit(ValueError):
    """The change cannot be made, or its result would not be read by the service."""


def contract_problem(service: Service, body: str) -> str | None:
    """Return why the service would refuse `body`, or None if it reads it."""
    try:
        _READERS[service](body)
    except InvalidMessage as error:
        return str(error)
    return None


def with_values(body: str, assignments: Sequence[str]) -> str:
    """Apply `path=value` changes; the value is JSON, or text where it is not JSON.

    Raises:
        InvalidEdit: the body is no JSON object, or a path leads nowhere.
    """
    document = load_object(body)
    if document is None:
        raise InvalidEdit("the body is not a JSON object; write it anew in the editor")
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator:
            raise InvalidEdit(f"{assignment!r} is not path=value")
        _assign(document, path.strip(), _value(text))
    return json.dumps(document, ensure_ascii=False)


def _assign(document: dict[str, Any], path: str, value: Any) -> None:
    parent_path, _, name = path.rpartition(".")
    try:
        parent = jmespath.search(parent_path, document) if parent_path else document
    except JMESPathError as error:
        raise InvalidEdit(f"{path!r} is not a path: {error}") from error
    if not isinstance(parent, dict) or not name:
        raise InvalidEdit(f"there is no object at {parent_path or path!r} to set {name!r} in")
    parent[name] = value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text

"""How today's readers understand a body of any published schema, whoever reads it. Pure."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import ValidationError

from contracts.channels import CHANNELS, STORED_DOCUMENTS
from contracts.envelope import Envelope, InvalidMessage, open_envelope, open_request
from contracts.messages import Payload
from contracts.model import Contract


@dataclass(frozen=True)
class Reading:
    """What came of a body: refused with a reason, or fields as understood under a version."""

    refused: str | None
    version: int = 0
    fields: dict[str, Any] | None = None


def read(type_name: str, body: str) -> Reading:
    """Read a body as the service does that receives `type_name`, or opens that document."""
    for channel in CHANNELS:
        if channel.payload.type == type_name:
            return read_message(channel.payload, body, bare=channel.bare)
    for document in STORED_DOCUMENTS:
        if document.model.__name__ == type_name:
            return _read_document(document.model, document.version, body)
    return Reading(refused=f"nobody reads {type_name}")


def read_message(payload_type: type[Payload], body: str, *, bare: bool) -> Reading:
    """Read a body that has to carry `payload_type`; `bare` allows it to come without envelope."""
    accept = partial(open_request, message_id="sample") if bare else open_envelope
    try:
        envelope: Envelope[Any] = accept(body, payload_type)
    except InvalidMessage as error:
        return Reading(refused=str(error))
    understood = envelope.model_dump(mode="json")
    return Reading(refused=None, version=envelope.payload.version, fields=understood)


def _read_document(model: type[Contract], version: int, body: str) -> Reading:
    try:
        document = model.model_validate_json(body)
    except ValidationError as error:
        return Reading(refused=str(error.errors(include_url=False, include_input=False)))
    return Reading(refused=None, version=version, fields=document.model_dump(mode="json"))

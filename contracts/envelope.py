"""The wrapper around every message: who sent it when, for which run, under which contract."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Self, TypeVar
from uuid import UUID, uuid5

from pydantic import AwareDatetime, Field, StringConstraints, ValidationError

from contracts.messages import Payload
from contracts.model import Contract
from contracts.upcast import upcast, versions_of

RunId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
PayloadT = TypeVar("PayloadT", bound=Payload)
_NAMESPACE = UUID("6f1d2c52-6d0c-4f0e-9d0a-0c6a6c1f7a11")


class InvalidMessage(ValueError):
    """A body that no reader of this version can accept; it will never become valid by waiting."""


class Envelope(Contract, Generic[PayloadT]):
    """One message. `message_id` is derived from its cause, so a repeated cause repeats the id."""

    message_id: UUID = Field(
        description="Derived from run, type and part: a repeated cause repeats the id.",
        examples=["c4d9f6ce-98f1-5ad8-b0a4-1f58a7a0f3a1"],
    )
    run_id: RunId = Field(
        description="The generator request all messages of a run go back to.", examples=["run-1"]
    )
    type: str = Field(description="Name of the payload's contract.")
    version: int = Field(ge=1, description="Version of the payload's contract.")
    sent_at: AwareDatetime = Field(
        description="When the sender made the message.", examples=["2026-11-21T09:00:00Z"]
    )
    trace: str | None = Field(
        default=None,
        description="X-Ray trace header the message belongs to.",
        examples=["Root=1-5759e988-bd862e3fe1be46a994272793"],
    )
    payload: PayloadT

    @classmethod
    def wrap(cls, payload: PayloadT, *, run_id: str, trace: str | None, sent_at: datetime) -> Self:
        """Put `payload` in its envelope; the same run and payload give the same message id.

        A message without a trace begins the run's: later messages carry on the one they belong to.
        """
        identity = f"{run_id}/{payload.type}/{payload.part}"
        return cls(
            message_id=uuid5(_NAMESPACE, identity),
            run_id=run_id,
            type=payload.type,
            version=payload.version,
            sent_at=sent_at,
            trace=trace or _begin_trace(run_id, sent_at),
            payload=payload,
        )

    def to_json(self) -> str:
        """Return the body as it goes on the wire."""
        return self.model_dump_json(exclude_none=True)


def open_envelope(body: str, payload_type: type[PayloadT]) -> Envelope[PayloadT]:
    """Parse a body that must carry `payload_type`; an older version is brought up to it.

    Raises:
        InvalidMessage: not JSON, not an envelope, another type or version, or a wrong field;
            the sentence names the field.
    """
    document = _load_object(body)
    found = (document.get("type"), document.get("version"))
    for version in versions_of(payload_type):
        if found == (version.type, version.version):
            try:
                envelope = Envelope[version].model_validate_json(body)  # type: ignore[valid-type]  # runtime generic
                return _as_newest(envelope, payload_type)
            except ValidationError as error:
                raise InvalidMessage(_explain(error)) from error
    readable = " or ".join(str(version.version) for version in versions_of(payload_type))
    raise InvalidMessage(
        f"this queue reads {payload_type.type} version {readable}, "
        f"the message says type {found[0]!r} version {found[1]!r}"
    )


def _as_newest(envelope: Envelope[Any], payload_type: type[PayloadT]) -> Envelope[PayloadT]:
    if type(envelope.payload) is payload_type:
        return envelope
    payload = upcast(envelope.payload)
    if not isinstance(payload, payload_type):
        raise TypeError(f"no upcaster leads to {payload_type.__name__}")
    renewed = {"version": payload_type.version, "payload": payload}
    return Envelope[payload_type].model_validate(dict(envelope) | renewed)  # type: ignore[valid-type]  # runtime generic


def open_request(body: str, payload_type: type[PayloadT], *, message_id: str) -> Envelope[PayloadT]:
    """Parse a body that may be bare, as people type it by hand on the generator queue.

    A bare payload gets a run id made from the queue's own `message_id`, so that a redelivery
    belongs to the same run.
    """
    document = _load_object(body)
    if "payload" in document:
        return open_envelope(body, payload_type)
    try:
        payload = payload_type.model_validate_json(body)
    except ValidationError as error:
        raise InvalidMessage(_explain(error)) from error
    run_id = str(uuid5(_NAMESPACE, message_id))
    return Envelope[PayloadT].wrap(payload, run_id=run_id, trace=None, sent_at=datetime.now(UTC))


def _begin_trace(run_id: str, at: datetime) -> str:
    """Return an X-Ray trace header: eight hex digits of time, 24 of the run."""
    return f"Root=1-{int(at.timestamp()):08x}-{uuid5(_NAMESPACE, run_id).hex[:24]}"


def _load_object(body: str) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidMessage(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidMessage(f"the body is a JSON {type(document).__name__}, not an object")
    return document


def _explain(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'body'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False)
    )

"""Older versions of payloads, and how today's reader understands them. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contracts.messages import Payload


@dataclass(frozen=True)
class Upcast:
    """One step from a version to the next; `convert` raises ValueError where no new form exists."""

    old: type[Payload]
    new: type[Payload]
    convert: Callable[[Any], Payload]


UPCASTS: tuple[Upcast, ...] = ()


def versions_of(payload_type: type[Payload]) -> tuple[type[Payload], ...]:
    """Return every version a reader of `payload_type` accepts, newest first."""
    older = [step.old for step in UPCASTS if step.new is payload_type]
    return (payload_type, *(version for old in older for version in versions_of(old)))


def upcast(payload: Payload, wanted: type[Payload]) -> Payload:
    """Bring a payload of an older version up to `wanted`, one version at a time."""
    while not isinstance(payload, wanted):
        step = next(step for step in UPCASTS if step.old is type(payload))
        payload = step.convert(payload)
    return payload

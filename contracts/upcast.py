"""Older versions of payloads, and how today's reader understands them. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

from pydantic import AwareDatetime, Field

from contracts.dataset import LoadMode
from contracts.messages import (
    Identifier,
    LoadTable,
    Payload,
    S3Object,
    Sha256,
    TablePayload,
)
from contracts.period import Period


class LoadTableV1(TablePayload):
    """Command to the loader, as sent until 2026-11-21: its period and its last day, side by side.

    The two could disagree; since version 2 the last day follows from the period.
    """

    type: ClassVar[str] = "LoadTable"

    period_end: date | None = Field(
        default=None, description="Last day of the period.", examples=["2013-03-31"]
    )
    mode: LoadMode = Field(description="What happens to rows that are there already.")
    key: tuple[Identifier, ...] = Field(
        default=(), description="Columns that identify a row.", examples=[["idrssd", "period_end"]]
    )
    object: S3Object = Field(description="The Parquet object to load.")
    rows: int = Field(ge=0, description="Rows in the Parquet object.", examples=[6922])
    schema_fingerprint: Sha256 = Field(description="Digest of the Parquet column names and types.")
    content_digest: Sha256 = Field(description="Digest of the source files the rows came from.")
    manifest_key: str = Field(
        description="Key of the folder's manifest, the way back to the source.",
        examples=["raw/call_reports/2013Q1/run-1/_manifest.json"],
    )
    as_of: AwareDatetime = Field(
        description="When the rows were collected; orders loads of one table and period.",
        examples=["2026-11-21T09:00:00Z"],
    )


def _one_period(old: LoadTableV1) -> LoadTable:
    # The loader went by the last day and checked every row against it; so it decides.
    period = Period.of(old.period_end) if old.period_end else old.period
    both = LoadTable.model_fields.keys() & LoadTableV1.model_fields.keys()
    kept = {name: getattr(old, name) for name in both}
    return LoadTable(**{**kept, "period": period})


@dataclass(frozen=True)
class Upcast:
    """One step from a version to the next; it accepts whatever the old version's reader did."""

    old: type[Payload]
    new: type[Payload]
    convert: Callable[[Any], Payload]


UPCASTS: tuple[Upcast, ...] = (Upcast(LoadTableV1, LoadTable, _one_period),)


def versions_of(payload_type: type[Payload]) -> tuple[type[Payload], ...]:
    """Return every version a reader of `payload_type` accepts, newest first."""
    older = [step.old for step in UPCASTS if step.new is payload_type]
    return (payload_type, *(version for old in older for version in versions_of(old)))


def upcast(payload: Payload) -> Payload:
    """Bring a payload of any version to the newest one, a version at a time."""
    for step in UPCASTS:
        if type(payload) is step.old:
            return upcast(step.convert(payload))
    return payload

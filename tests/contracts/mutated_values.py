"""Ranges, choices and meanings that change."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from contracts import (
    CollectFolder,
    GenerateRequest,
    LoadComplete,
    LoadTable,
)
from tests.contracts.mutations import changed, mutation


class EvenRowsOnly(LoadTable):
    @field_validator("rows")
    @classmethod
    def even(cls, rows: int) -> int:
        if rows % 2:
            raise ValueError("rows come in pairs")
        return rows


class RowsInThousands(LoadTable):
    @field_validator("rows")
    @classmethod
    def thousands(cls, rows: int) -> int:
        return rows * 1000


class BoundsInOrder(GenerateRequest):
    @model_validator(mode="after")
    def in_order(self) -> Self:
        if self.start_year and self.end_year and self.start_year > self.end_year:
            raise ValueError("start is after end")
        return self


class FetchFolder(CollectFolder):
    type: ClassVar[str] = "FetchFolder"


class SecondVersion(CollectFolder):
    version: ClassVar[int] = 2


def text(pattern: str) -> Any:
    return Annotated[str, StringConstraints(pattern=pattern), Field(examples=["call_reports"])]


MODES = Literal["append", "merge", "replace_period"]
MORE_MODES = Literal["append", "merge", "replace", "replace_period", "upsert"]
MORE_OUTCOMES = Literal["loaded", "already_loaded", "unchanged", "superseded", "skipped"]

RANGES = [
    mutation(
        "a minimum comes",
        CollectFolder,
        changed(CollectFolder, offset=(int | None, Field(default=None, ge=-40))),
        "breaks",
        "payload.offset has the minimum -40, it had none",
    ),
    mutation(
        "a minimum rises",
        LoadTable,
        changed(LoadTable, rows=(int, Field(ge=1))),
        "breaks",
        "payload.rows has the minimum 1, it had 0",
    ),
    mutation(
        "a minimum falls",
        GenerateRequest,
        changed(GenerateRequest, start_quarter=(int | None, Field(default=None, ge=0, le=4))),
        "reader_first",
        "payload.start_quarter has the minimum 0, it had 1. Deploy the generator",
    ),
    mutation(
        "a maximum falls",
        GenerateRequest,
        changed(GenerateRequest, end_quarter=(int | None, Field(default=None, ge=1, le=3))),
        "breaks",
        "payload.end_quarter has the maximum 3, it had 4",
    ),
    mutation(
        "a maximum goes",
        GenerateRequest,
        changed(GenerateRequest, end_quarter=(int | None, Field(default=None, ge=1))),
        "reader_first",
        "payload.end_quarter has the maximum none, it had 4",
    ),
    mutation(
        "a text gets shorter",
        LoadTable,
        changed(LoadTable, table=(str, Field(min_length=1, max_length=30))),
        "breaks",
        "payload.table has the greatest length 30, it had 63",
    ),
    mutation(
        "a text gets longer",
        LoadTable,
        changed(LoadTable, table=(str, Field(min_length=1, max_length=90))),
        "reader_first",
        "payload.table has the greatest length 90, it had 63",
    ),
    mutation(
        "a list has to hold something",
        LoadTable,
        changed(LoadTable, key=(tuple[str, ...], Field(default=(), min_length=1))),
        "breaks",
        "payload.key has the least number of items 1, it had none",
    ),
    mutation(
        "the items of a list get shorter",
        LoadTable,
        changed(
            LoadTable,
            key=(tuple[Annotated[str, Field(min_length=1, max_length=9)], ...], Field(default=())),
        ),
        "breaks",
        "payload.key[] has the greatest length 9, it had 63",
    ),
]
VALUES = [
    mutation(
        "a choice goes",
        LoadTable,
        changed(LoadTable, mode=(MODES, ...)),
        "breaks",
        "payload.mode no longer takes 'replace'",
    ),
    mutation(
        "a choice comes to a command",
        LoadTable,
        changed(LoadTable, mode=(MORE_MODES, ...)),
        "reader_first",
        "payload.mode now also takes 'upsert'. Deploy the loader before the processor",
    ),
    mutation(
        "a choice comes to an event",
        LoadComplete,
        changed(LoadComplete, outcome=(MORE_OUTCOMES, ...)),
        "breaks",
        "payload.outcome now also takes 'skipped'. A subscriber of the bus of the old version",
    ),
    mutation(
        "free text becomes a choice",
        LoadTable,
        changed(LoadTable, manifest_key=(Literal["_manifest.json"], ...)),
        "breaks",
        "payload.manifest_key takes only ['_manifest.json'] now",
    ),
    mutation(
        "a choice becomes free text",
        LoadTable,
        changed(LoadTable, mode=(str, ...)),
        "reader_first",
        "payload.mode takes more than",
    ),
    mutation(
        "a pattern gets narrower",
        CollectFolder,
        changed(CollectFolder, dataset=(text(r"^[a-z][a-z0-9_]{0,14}$"), ...)),
        "breaks",
        "a value is refused (payload.dataset: String should match pattern",
    ),
    mutation(
        "a pattern gets wider",
        CollectFolder,
        changed(CollectFolder, dataset=(text(r"^[a-z][a-z0-9_]{0,62}$"), ...)),
        "reader_first",
        "a value is refused (payload.dataset: String should match pattern",
    ),
    mutation(
        "a pattern is spelt another way",
        CollectFolder,
        changed(CollectFolder, dataset=(text(r"^[a-z][_0-9a-z]{0,47}$"), ...)),
        "note",
        "300 messages of each side were understood alike by the other",
    ),
]
MEANINGS = [
    mutation(
        "a default changes",
        LoadTable,
        changed(LoadTable, key=(tuple[str, ...], Field(default=("idrssd",)))),
        "breaks",
        "payload.key means ['idrssd'] instead of [] when it is left out",
    ),
    mutation(
        "code refuses what the schema allows",
        LoadTable,
        EvenRowsOnly,
        "breaks",
        "rows come in pairs",
    ),
    mutation(
        "code refuses a combination of fields",
        GenerateRequest,
        BoundsInOrder,
        "breaks",
        "start is after end",
    ),
    mutation(
        "code reads a field in another unit",
        LoadTable,
        RowsInThousands,
        "breaks",
        "payload.rows is understood differently",
    ),
    mutation(
        "a type is renamed",
        CollectFolder,
        FetchFolder,
        "breaks",
        "CollectFolder version 1 is gone (renamed to FetchFolder.v1?)",
    ),
    mutation(
        "a version replaces the one before",
        CollectFolder,
        SecondVersion,
        "breaks",
        "CollectFolder version 1 is gone (renamed to CollectFolder.v2?)",
    ),
]

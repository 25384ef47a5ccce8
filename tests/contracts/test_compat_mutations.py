"""Known changes of the contracts, each with the verdict a person would give."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, ClassVar, Literal, Self

import pytest
from pydantic import (
    AwareDatetime,
    ConfigDict,
    Field,
    StringConstraints,
    create_model,
    field_validator,
    model_validator,
)

from contracts import (
    CollectFolder,
    FolderComplete,
    GenerateRequest,
    LoadComplete,
    LoadTable,
    Payload,
    S3Object,
)
from contracts.compat import Release, Verdict, check
from contracts.export import message_schema, schema_name
from contracts.reading import Reading, read_message
from contracts.upcast import LoadTableV1

Model = type[Payload]
Digits = tuple[Any, Any]


def changed(model: Model, *, without: Sequence[str] = (), **fields: Digits) -> Model:
    """Return `model` as another revision would have it: fields taken away, replaced or added."""
    kept = {
        name: (field.rebuild_annotation(), field)
        for name, field in model.model_fields.items()
        if name not in without
    }
    made: Model = create_model(  # type: ignore[call-overload]  # fields come as a mapping
        model.__name__, __base__=Payload, __doc__=model.__doc__, **(kept | fields)
    )
    made.type = model.type
    made.version = model.version
    return made


class Strict(CollectFolder):
    model_config = ConfigDict(extra="forbid")


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


class ObjectWithTag(S3Object):
    tag: str


def text(pattern: str) -> Any:
    return Annotated[str, StringConstraints(pattern=pattern), Field(examples=["call_reports"])]


def release(*models: Model) -> Release:
    newest = max(models, key=lambda model: model.version)

    def read(bodies: Sequence[tuple[str, str]]) -> list[Reading]:
        return [read_message(newest, body, bare=False) for _, body in bodies]

    schemas = {schema_name(model.type, model.version): message_schema(model) for model in models}
    return Release(schemas, read)


@dataclass(frozen=True)
class Mutation:
    what: str
    before: Model
    after: tuple[Model, ...]
    verdict: Verdict | None
    words: str = ""

    def __str__(self) -> str:
        return self.what


def mutation(
    what: str, before: Model, after: Model, verdict: Verdict | None, words: str = ""
) -> Mutation:
    return Mutation(what, before, (after,), verdict, words)


OPTIONAL_TEXT: Digits = (str | None, None)
MODES = Literal["append", "merge", "replace_period"]
MORE_MODES = Literal["append", "merge", "replace", "replace_period", "upsert"]
MORE_OUTCOMES = Literal["loaded", "already_loaded", "unchanged", "superseded", "skipped"]

FIELDS = [
    mutation(
        "an optional field goes",
        CollectFolder,
        changed(CollectFolder, without=["offset"]),
        "breaks",
        "payload.offset is gone: what messages say in it is dropped. The collector would",
    ),
    mutation(
        "a required field goes",
        LoadTable,
        changed(LoadTable, without=["manifest_key"]),
        "breaks",
        "payload.manifest_key is gone",
    ),
    mutation(
        "a field is renamed",
        FolderComplete,
        changed(FolderComplete, without=["prefix"], folder=(str, ...)),
        "breaks",
        "payload.folder is new and required",
    ),
    mutation(
        "an optional field becomes required",
        CollectFolder,
        changed(CollectFolder, offset=(int | None, ...)),
        "breaks",
        "payload.offset is now required. The collector would refuse messages written before "
        "(the collector queue, its DLQ)",
    ),
    mutation(
        "a required field comes",
        LoadTable,
        changed(LoadTable, source=(str, ...)),
        "breaks",
        "payload.source is new and required",
    ),
    mutation(
        "an optional field comes",
        LoadTable,
        changed(LoadTable, source=OPTIONAL_TEXT),
        None,
    ),
    mutation(
        "an optional field comes to an event",
        FolderComplete,
        changed(FolderComplete, source=OPTIONAL_TEXT),
        None,
    ),
    mutation(
        "a command's required field becomes optional",
        LoadTable,
        changed(LoadTable, manifest_key=OPTIONAL_TEXT),
        "reader_first",
        "payload.manifest_key may now be left out. Deploy the loader before the processor",
    ),
    mutation(
        "an event's required field becomes optional",
        FolderComplete,
        changed(FolderComplete, files=(int | None, None)),
        "breaks",
        "nobody can see to it that all of them are deployed first",
    ),
    mutation(
        "a field of a nested object becomes required",
        LoadTable,
        changed(LoadTable, object=(ObjectWithTag, ...)),
        "breaks",
        "payload.object.tag is new and required",
    ),
    mutation(
        "unknown fields are refused",
        CollectFolder,
        Strict,
        "breaks",
        "refuses fields it does not know",
    ),
    mutation(
        "only words of documentation change",
        CollectFolder,
        changed(CollectFolder, offset=(int | None, Field(default=None, description="New words."))),
        None,
    ),
]
TYPES = [
    mutation(
        "a number becomes text",
        LoadTable,
        changed(LoadTable, rows=(str, ...)),
        "breaks",
        "payload.rows no longer takes a value of type integer",
    ),
    mutation(
        "a fraction becomes a whole number",
        LoadComplete,
        changed(LoadComplete, seconds=(int, Field(ge=0))),
        "breaks",
        "payload.seconds takes whole numbers only",
    ),
    mutation(
        "a whole number becomes a fraction",
        LoadTable,
        changed(LoadTable, rows=(float, Field(ge=0))),
        "reader_first",
        "payload.rows takes fractions",
    ),
    mutation(
        "null is no longer taken",
        CollectFolder,
        changed(CollectFolder, offset=(int, Field(default=None, validate_default=False))),
        "breaks",
        "payload.offset no longer takes a value of type null",
    ),
    mutation(
        "null is taken too",
        LoadTable,
        changed(LoadTable, manifest_key=(str | None, ...)),
        "reader_first",
        "payload.manifest_key now also takes a value of type null",
    ),
    mutation(
        "a day becomes a moment",
        LoadTableV1,
        changed(LoadTableV1, period_end=(AwareDatetime | None, None)),
        "breaks",
        "a value is refused (payload.period_end",
    ),
    mutation(
        "a moment becomes a day",
        LoadTable,
        changed(LoadTable, as_of=(date, ...)),
        "breaks",
        "a value is refused (payload.as_of",
    ),
    mutation(
        "an id becomes free text",
        LoadTable,
        changed(LoadTable, load_id=(str, ...)),
        "reader_first",
        "a value is refused (payload.load_id",
    ),
]
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


@pytest.mark.parametrize("case", FIELDS + TYPES + RANGES + VALUES + MEANINGS, ids=str)
def test_a_known_change_gets_the_verdict_a_person_would_give(case: Mutation) -> None:
    found = check(release(case.before), release(*case.after))
    order: list[Verdict] = ["breaks", "reader_first", "note"]
    worst = next((v for v in order if v in {finding.verdict for finding in found}), None)
    assert worst == case.verdict, [finding.sentence for finding in found]
    assert case.words in "\n".join(f.sentence for f in found if f.verdict == worst)


@pytest.mark.parametrize(
    "model", [GenerateRequest, CollectFolder, FolderComplete, LoadTable, LoadComplete]
)
def test_an_unchanged_contract_has_nothing_to_say(model: Model) -> None:
    assert check(release(model), release(changed(model))) == []

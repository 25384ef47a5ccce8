"""Fields that come, go, or change their type."""

from datetime import date

from pydantic import (
    AwareDatetime,
    ConfigDict,
    Field,
)

from contracts import (
    CollectFolder,
    FolderComplete,
    LoadComplete,
    LoadTable,
    Packet,
    S3Object,
)
from contracts.upcast import LoadTableV1
from tests.contracts.mutations import Digits, changed, mutation


class Strict(CollectFolder):
    model_config = ConfigDict(extra="forbid")


class ObjectWithTag(S3Object):
    tag: str


class PacketWithRows(Packet):
    rows: int | None = None


OPTIONAL_TEXT: Digits = (str | None, None)

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
        "an optional field comes to what a list holds",
        FolderComplete,
        changed(FolderComplete, packets=(tuple[PacketWithRows, ...], ())),
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

"""The payloads that travel between services: commands in the imperative, events in the past."""

from datetime import date
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from contracts.dataset import LoadMode
from contracts.model import Contract
from contracts.period import Period

DatasetName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=63)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Warnings = Annotated[tuple[str, ...], Field(description="Sentences for the run's status.")]


class S3Object(Contract):
    """Where bytes lie and how to recognise them."""

    bucket: str
    key: str
    bytes: int = Field(ge=0)
    sha256: Sha256


class Payload(Contract):
    """What an envelope carries; `type` and `version` name its contract."""

    type: ClassVar[str]
    version: ClassVar[int] = 1

    dataset: DatasetName

    @property
    def part(self) -> str:
        """The piece of the run this message is about, for its status: `2013Q1`, or `all`."""
        return "all"


class GenerateRequest(Payload):
    """Command to the generator: collect a dataset, for periodic ones quarter by quarter."""

    type: ClassVar[str] = "GenerateRequest"

    start_year: int | None = Field(default=None, examples=[2013])
    start_quarter: int | None = Field(default=None, ge=1, le=4, examples=[1])
    end_year: int | None = Field(default=None, examples=[2013])
    end_quarter: int | None = Field(default=None, ge=1, le=4, examples=[4])


class FolderPayload(Payload):
    """About one folder: one quarter of a periodic dataset."""

    period: Period | None = None

    @property
    def part(self) -> str:
        """The quarter, or `all` where there are none."""
        return str(self.period) if self.period else "all"


class TablePayload(Payload):
    """About one load of one table."""

    load_id: UUID
    table_schema: Identifier
    table: Identifier
    period: Period | None = None

    @property
    def part(self) -> str:
        """The table, after the quarter if there is one: `2013Q1/call_reports.rc`."""
        name = f"{self.table_schema}.{self.table}"
        return f"{self.period}/{name}" if self.period else name


class CollectFolder(FolderPayload):
    """Command to the collector: fetch one folder from the dataset's source."""

    type: ClassVar[str] = "CollectFolder"

    offset: int | None = Field(
        default=None,
        description="Quarters from the current one when the run was made; information only.",
    )


class FolderComplete(FolderPayload):
    """Event: every file of a folder and its manifest are in the lake."""

    type: ClassVar[str] = "FolderComplete"

    prefix: str = Field(description="Key prefix of the folder, ending in a slash.")
    manifest: S3Object
    files: int = Field(ge=0)
    bytes: int = Field(ge=0)
    collected_at: AwareDatetime
    warnings: Warnings = ()


class LoadTable(TablePayload):
    """Command to the loader: bring one Parquet object into one table, exactly once.

    `load_id` is derived from run, table and period, so a repeated message names the same load.
    `as_of` orders loads of the same table and period: an older one never overwrites a newer one.
    """

    type: ClassVar[str] = "LoadTable"

    period_end: date | None = None
    mode: LoadMode
    key: tuple[Identifier, ...] = ()
    object: S3Object
    rows: int = Field(ge=0)
    schema_fingerprint: Sha256 = Field(description="Digest of the Parquet column names and types.")
    content_digest: Sha256 = Field(description="Digest of the source files the rows came from.")
    manifest_key: str
    as_of: AwareDatetime


LoadOutcome = Literal["loaded", "already_loaded", "unchanged", "superseded"]


class LoadComplete(TablePayload):
    """Event: a load is committed, or was found to need no work."""

    type: ClassVar[str] = "LoadComplete"

    outcome: LoadOutcome
    rows: int = Field(ge=0)
    seconds: float = Field(ge=0)

"""The payloads that travel between services: commands in the imperative, events in the past."""

from datetime import date
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field, StringConstraints

from contracts.dataset import LoadMode
from contracts.model import Contract
from contracts.period import Period

_DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

DatasetName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,47}$"),
    Field(description="A name declared in `contracts/datasets/`.", examples=["call_reports"]),
]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=63)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$"), Field(examples=[_DIGEST])]
Warnings = Annotated[tuple[str, ...], Field(description="Sentences for the run's status.")]


class S3Object(Contract):
    """Where bytes lie and how to recognise them."""

    bucket: str = Field(
        description="Name of the lake's bucket.", examples=["quarry-local-lake-000000000000"]
    )
    key: str = Field(
        description="Full key in the bucket.",
        examples=["clean/call_reports/2013Q1/run-1/rc.parquet"],
    )
    bytes: int = Field(ge=0, description="Size of the object.", examples=[48213])
    sha256: Sha256 = Field(description="Digest of the object's bytes.")


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

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "dataset": "call_reports",
                    "start_year": 2013,
                    "start_quarter": 1,
                    "end_year": 2013,
                    "end_quarter": 4,
                }
            ]
        }
    )

    start_year: int | None = Field(
        default=None, description="Year of the first quarter wanted.", examples=[2013]
    )
    start_quarter: int | None = Field(
        default=None, ge=1, le=4, description="The first quarter wanted.", examples=[1]
    )
    end_year: int | None = Field(
        default=None, description="Year of the last quarter wanted.", examples=[2013]
    )
    end_quarter: int | None = Field(
        default=None, ge=1, le=4, description="The last quarter wanted.", examples=[4]
    )
    last_quarters: int | None = Field(
        default=None,
        ge=1,
        description="Instead of the four bounds: so many quarters that were over at `as_of`.",
        examples=[8],
    )
    as_of: AwareDatetime | None = Field(
        default=None,
        description="The moment `last_quarters` is seen from, so that a replay means the same.",
        examples=["2026-11-15T12:00:00Z"],
    )
    max_items: int | None = Field(
        default=None,
        ge=1,
        description="Take at most so many items of each scanned table.",
        examples=[1000],
    )
    save_csv: bool = Field(
        default=False, description="Keep each table's rows as CSV too, beside the Parquet."
    )


class Packet(Contract):
    """One numbered batch of new rows of one source table."""

    table: Identifier = Field(description="Table of the source.", examples=["sales_order"])
    id: int = Field(ge=1, description="Counts the table's packets from 1.", examples=[17])


class FolderPayload(Payload):
    """About one folder: one quarter of a periodic dataset."""

    period: Period | None = Field(
        default=None, description="The quarter; left out where the dataset has none."
    )

    @property
    def part(self) -> str:
        """The quarter, or `all` where there are none."""
        return str(self.period) if self.period else "all"


class TablePayload(Payload):
    """About one load of one table."""

    load_id: UUID = Field(
        description="Names this load; derived from run, table and period.",
        examples=["0b9d9b1e-6f0a-5d1c-8a6e-0c3c4f1f2a77"],
    )
    table_schema: Identifier = Field(
        description="PostgreSQL schema of the table.", examples=["call_reports"]
    )
    table: Identifier = Field(description="Name of the table in its schema.", examples=["rc"])
    period: Period | None = Field(
        default=None, description="The quarter; left out where the dataset has none."
    )

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
        examples=[-2],
    )
    max_items: int | None = Field(
        default=None,
        ge=1,
        description="Take at most so many items of each scanned table.",
        examples=[1000],
    )
    save_csv: bool = Field(
        default=False, description="Keep each table's rows as CSV too, beside the Parquet."
    )


class FolderComplete(FolderPayload):
    """Event: every file of a folder and its manifest are in the lake."""

    type: ClassVar[str] = "FolderComplete"

    prefix: str = Field(
        description="Key prefix of the folder, ending in a slash.",
        examples=["raw/call_reports/2013Q1/run-1/"],
    )
    manifest: S3Object = Field(description="Where the folder's manifest lies.")
    files: int = Field(ge=0, description="How many files, the manifest not counted.", examples=[49])
    bytes: int = Field(ge=0, description="Size of those files together.", examples=[46137344])
    collected_at: AwareDatetime = Field(
        description="When the manifest was written.", examples=["2026-11-21T09:00:00Z"]
    )
    warnings: Warnings = ()
    packets: tuple[Packet, ...] = Field(
        default=(), description="The packets in the folder, where its source gives packets."
    )
    save_csv: bool = Field(
        default=False, description="Keep each table's rows as CSV too, beside the Parquet."
    )


class LoadTable(TablePayload):
    """Command to the loader: bring one Parquet object into one table, exactly once.

    `load_id` is derived from run, table and period, so a repeated message names the same load.
    `as_of` orders loads of the same table and period: an older one never overwrites a newer one.
    """

    type: ClassVar[str] = "LoadTable"
    version: ClassVar[int] = 2

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
    database: Identifier | None = Field(
        default=None,
        description="Database on the loader's server; left out for the one it is connected to.",
        examples=["invoice-transactions-local-dw"],
    )

    @property
    def period_end(self) -> date | None:
        """The last day of the period, by which rows know their quarter."""
        return self.period.end if self.period else None


LoadOutcome = Literal["loaded", "already_loaded", "unchanged", "superseded"]


class LoadComplete(TablePayload):
    """Event: a load is committed, or was found to need no work."""

    type: ClassVar[str] = "LoadComplete"

    outcome: LoadOutcome = Field(description="What the load came to.")
    rows: int = Field(ge=0, description="Rows that were loaded.", examples=[6922])
    seconds: float = Field(
        ge=0, description="From the message's arrival to the commit.", examples=[0.8]
    )

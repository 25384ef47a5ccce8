"""The manifest: written last, it is the proof that a folder is complete."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from contracts.drop_table import DroppedFile
from contracts.messages import DatasetName, Packet, Sha256
from contracts.model import Contract
from contracts.period import Period

MANIFEST_NAME = "_manifest.json"


class CollectedFile(Contract):
    """One file of the folder as stored; `key` is its full key in the lake's bucket."""

    name: str = Field(
        description="File name as the source gave it.",
        examples=["FFIEC CDR Call Schedule RC 03312013.txt"],
    )
    key: str = Field(
        description="Full key in the lake's bucket.",
        examples=["raw/call_reports/2013Q1/run-1/FFIEC CDR Call Schedule RC 03312013.txt"],
    )
    bytes: int = Field(ge=0, description="Size of the file.", examples=[1048576])
    sha256: Sha256 = Field(description="Digest of the file's bytes.")
    rows: int | None = Field(
        default=None,
        ge=0,
        description="Data records in it, where the source counts them.",
        examples=[6922],
    )
    dropped: DroppedFile | None = Field(
        default=None,
        title="Dropped",
        description="What a dropped file was found to be; others have none.",
    )


class Manifest(Contract):
    """What was collected, from where, and how to check each byte of it."""

    dataset: DatasetName
    period: Period | None = Field(
        default=None, description="The quarter; left out where the dataset has none."
    )
    run_id: str = Field(description="The run that collected the folder.", examples=["run-1"])
    source_url: str = Field(
        description="Where the bytes came from.", examples=["https://example.org/download.aspx"]
    )
    collected_at: AwareDatetime = Field(
        description="When the folder was complete.", examples=["2026-11-21T09:00:00Z"]
    )
    archive_name: str | None = Field(
        default=None,
        description="The downloaded zip, if any.",
        examples=["FFIEC CDR Call Bulk All Schedules 03312013.zip"],
    )
    archive_bytes: int | None = Field(
        default=None, description="Size of the zip.", examples=[7340032]
    )
    archive_sha256: Sha256 | None = Field(default=None, description="Digest of the zip.")
    files: tuple[CollectedFile, ...] = Field(
        description="Every file of the folder, the manifest not counted."
    )
    warnings: Annotated[tuple[str, ...], Field(description="Facts an operator should know.")] = ()
    packets: Annotated[
        tuple[Packet, ...], Field(description="The packets among the files, if it has any.")
    ] = ()

    @property
    def bytes(self) -> int:
        """Total size of the folder's files."""
        return sum(file.bytes for file in self.files)


def raw_prefix(dataset: str, part: str, run_id: str) -> str:
    """Return where a folder's files go; the path alone says dataset, period and run."""
    return f"raw/{dataset}/{part}/{run_id}/"


def clean_prefix(dataset: str, part: str, run_id: str) -> str:
    """Return where the Parquet of a folder goes."""
    return f"clean/{dataset}/{part}/{run_id}/"

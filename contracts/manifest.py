"""The manifest: written last, it is the proof that a folder is complete."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from contracts.messages import DatasetName, Sha256
from contracts.model import Contract
from contracts.period import Period

MANIFEST_NAME = "_manifest.json"


class CollectedFile(Contract):
    """One file of the folder as stored; `key` is its full key in the lake's bucket."""

    name: str
    key: str
    bytes: int = Field(ge=0)
    sha256: Sha256


class Manifest(Contract):
    """What was collected, from where, and how to check each byte of it."""

    dataset: DatasetName
    period: Period | None = None
    run_id: str
    source_url: str
    collected_at: AwareDatetime
    archive_name: str | None = Field(default=None, description="The downloaded zip, if any.")
    archive_bytes: int | None = None
    archive_sha256: Sha256 | None = None
    files: tuple[CollectedFile, ...]
    warnings: Annotated[tuple[str, ...], Field(description="Facts an operator should know.")] = ()

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

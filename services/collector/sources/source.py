"""The seam between the use case and whatever fetches a folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from contracts import MANIFEST_NAME, Dataset, Manifest, Period, PortalSource

# A real quarter is 5 to 8 MB; /tmp on Lambda holds 6 GB together with what is inflated.
DOWNLOAD_BYTES = 1024**3


@dataclass(frozen=True)
class Download:
    """An archive as it arrived: where it lies, what the source called it, where it came from."""

    path: Path
    name: str
    url: str


class Source(Protocol):
    """Fetches one quarter's archive."""

    async def fetch(self, source: PortalSource, period: Period, into: Path) -> Download:
        """Download into the folder `into`.

        Raises:
            PeriodNotOffered, PageChanged, UnexpectedDownload, UnsafeArchive: asking again will not
                help.
            SourceUnavailable, SourceBusy, DownloadCutShort: asking later may.
        """


@dataclass(frozen=True)
class Order:
    """A folder to gather: what of, for which run, and the key prefix its files go under.

    `max_items` is how many items of each table are wanted at most.
    """

    dataset: Dataset
    run_id: str
    prefix: str
    max_items: int | None = None

    @property
    def manifest_key(self) -> str:
        """Where the folder's manifest goes."""
        return f"{self.prefix}{MANIFEST_NAME}"


class Gatherer(Protocol):
    """Brings a folder that is no archive into the lake, and keeps its own books about it."""

    async def gather(self, order: Order) -> Manifest | None:
        """Store the files and describe them; None: the source has nothing new.

        A run that died is gathered again, so nothing may count as taken before `settle`.
        """

    async def settle(self, manifest: Manifest) -> Manifest:
        """Do the bookkeeping of a folder whose manifest is stored; safe to repeat.

        What is returned holds only those files that are this run's: another run may have been
        quicker. It replaces the stored manifest before anyone is told of the folder.
        """

"""The seam between the use case and whatever fetches a folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from contracts import Period, PortalSource


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
            PeriodNotOffered, PageChanged, UnexpectedDownload: asking again will not help.
            SourceUnavailable, SourceBusy, DownloadCutShort: asking later may.
        """

"""What a comparison finds, and what of the lake it reads."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Difference:
    """Two things that should agree and do not."""

    where: str
    what: str


class Lake(Protocol):
    """The part of the lake that is compared."""

    async def get(self, key: str) -> bytes:
        """Read one object."""

    async def keys(self, prefix: str) -> list[str]:
        """List keys."""

    async def download(self, key: str, path: Path) -> None:
        """Read one object into a file."""

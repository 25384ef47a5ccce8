"""Which contents have been taken under which name: one document per table, in the lake."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from pydantic import AwareDatetime, Field

from contracts import CollectedFile
from contracts.drop_table import DroppedFile
from contracts.model import Contract
from shared.errors import TransientError

_ATTEMPTS = 10


class Documents(Protocol):
    """The part of the lake that keeps the books."""

    async def get_with_etag(self, key: str) -> tuple[bytes, str] | None:
        """Read an object and its version; None if there is none."""
        ...

    async def put_if(self, key: str, data: bytes, etag: str | None) -> bool:
        """Write over version `etag`, with None only a new key; say whether it was written."""
        ...


class FileVersion(Contract):
    """One content a name has had, and the run that took it."""

    sha256: str
    run_id: str
    dropped_at: AwareDatetime


class TableBooks(Contract):
    """All versions of all files of one table; version n of a name is the nth of its list."""

    files: dict[str, tuple[FileVersion, ...]] = Field(default_factory=dict)

    def twin(self, sha256: str) -> str | None:
        """Name the file whose newest version has this content."""
        return next((name for name, last in self._newest() if last.sha256 == sha256), None)

    def _newest(self) -> Iterator[tuple[str, FileVersion]]:
        return ((name, versions[-1]) for name, versions in self.files.items())


@dataclass(frozen=True)
class Claim:
    """The version a file got, or why it got none."""

    version: int | None
    reason: str = ""


@dataclass(frozen=True)
class DropBooks:
    """The books of every table. A file counts as taken when its version is written here."""

    documents: Documents

    async def twin(self, dataset: str, table: str, sha256: str) -> str | None:
        """Name the file of the table whose newest version has this content."""
        books, _ = await self._read(_key(dataset, table))
        return books.twin(sha256)

    async def claim(
        self, dataset: str, run_id: str, file: CollectedFile, dropped: DroppedFile
    ) -> Claim:
        """Make the file the next version of its name; safe to repeat.

        Raises:
            TransientError: others kept writing at the same time.
        """
        key = _key(dataset, dropped.table)
        wanted = FileVersion(sha256=file.sha256, run_id=run_id, dropped_at=dropped.dropped_at)
        for _ in range(_ATTEMPTS):
            books, etag = await self._read(key)
            versions = books.files.get(file.name, ())
            if wanted in versions:
                return Claim(versions.index(wanted) + 1)
            if twin := books.twin(file.sha256):
                return Claim(None, f"it has the content of {twin}, which is loaded")
            if versions and versions[-1].dropped_at > dropped.dropped_at:
                return Claim(None, "a newer file of this name was taken meanwhile")
            files = {**books.files, file.name: (*versions, wanted)}
            document = TableBooks(files=files).model_dump_json(indent=1).encode()
            if await self.documents.put_if(key, document, etag):
                return Claim(len(versions) + 1)
        raise TransientError(f"{key} changed {_ATTEMPTS} times while {file.name} was entered")

    async def _read(self, key: str) -> tuple[TableBooks, str | None]:
        found = await self.documents.get_with_etag(key)
        if found is None:
            return TableBooks(), None
        return TableBooks.model_validate_json(found[0]), found[1]


def _key(dataset: str, table: str) -> str:
    return f"drops/{dataset}/{table}.json"

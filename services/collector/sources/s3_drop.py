"""Files dropped under `inbox/` as a source: checked, then moved to `accepted/` or `rejected/`."""

import asyncio
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from contracts import CollectedFile, Dataset, Manifest
from contracts.datasets import all_datasets
from contracts.drop_table import DroppedFile, DropSource, DropTable
from services.collector.delimited import UnfitFile, shape_of
from services.collector.sources.drop_books import DropBooks
from services.collector.sources.source import Order
from shared.errors import InvalidRequest
from shared.lake import StoredObject
from shared.leftovers import folder_prefix
from shared.log import log

INBOX = "inbox/"
# S3 copies no larger object in one piece.
_COPIED_BYTES = 5 * 1024**3
# Each may have a sentence in the run's status and event, which have limits of their own.
_MOST_FILES = 200


class DropLake(Protocol):
    """The lake as dropped files need it."""

    bucket: str

    async def put(self, key: str, data: bytes) -> None:
        """Write one object."""
        ...

    async def listed(self, prefix: str) -> list[StoredObject]:
        """List the objects under a prefix."""
        ...

    async def download_version(self, key: str, etag: str, path: Path) -> bool:
        """Read that version into a file; False when it is not there any more."""
        ...

    async def copy_version(self, key: str, etag: str, to: str) -> bool:
        """Copy that version; False when it is not there any more."""
        ...

    async def delete_version(self, key: str, etag: str) -> bool:
        """Delete that version; False when it is not there any more."""
        ...


@dataclass(frozen=True)
class _Seen:
    """A file that is this dataset's, in the lake's `accepted/` and known to the books or not."""

    file: CollectedFile
    twin: str | None


@dataclass(frozen=True)
class DropGatherer:
    """Collects what waits in the inbox, one file at a time, the oldest first.

    A run takes `most_bytes` of files, more than which no file may have: the processor has to hold
    them all. Each file's own event starts a run, so those that are left get theirs.

    Order of a run: each file checked and copied; manifest; versions (`settle`), each given once;
    then the inbox is emptied, of those very versions only; event. A run that dies is repeated from
    the manifest if it is there, otherwise from the inbox.
    """

    lake: DropLake
    books: DropBooks
    now: Callable[[], datetime]
    most_bytes: int = _COPIED_BYTES

    async def gather(self, order: Order) -> Manifest | None:
        """Accept, reject or leave each waiting file; None when there was nothing to say of any.

        A manifest without files only tells what was rejected or is loaded already.
        """
        source = _drop(order.dataset)
        files: list[CollectedFile] = []
        warnings: list[str] = []
        with tempfile.TemporaryDirectory(
            prefix=folder_prefix("collect"), ignore_cleanup_errors=True
        ) as folder:
            waiting = sorted(await self.lake.listed(INBOX), key=lambda one: one.written_at)
            looked_at = 0
            for place, stored in enumerate(waiting):
                full = looked_at and looked_at + stored.bytes > self.most_bytes
                if full or len(files) + len(warnings) >= _MOST_FILES:
                    warnings.append(f"files left for the next run: {len(waiting) - place}")
                    break
                try:
                    seen = await self._look(order.dataset, source, stored, Path(folder) / "file")
                except UnfitFile as error:
                    warnings.append(await self._reject(order, stored, str(error)))
                    continue
                looked_at += stored.bytes if seen else 0
                if seen and seen.twin:
                    warnings.append(await self._put_away(stored, seen.twin))
                elif seen:
                    files.append(seen.file)
        if not files and not warnings:
            log.info("nothing_new", dataset=order.dataset.name)
            return None
        return Manifest(
            dataset=order.dataset.name,
            run_id=order.run_id,
            source_url=f"s3://{self.lake.bucket}/{INBOX}",
            collected_at=self.now(),
            files=tuple(files),
            warnings=tuple(warnings),
        )

    async def settle(self, manifest: Manifest) -> Manifest:
        """Give each file its version, leave out what is loaded already, and empty the inbox."""
        kept: list[CollectedFile] = []
        lost: list[str] = []
        for file, dropped in _dropped(manifest):
            claim = await self.books.claim(manifest.dataset, manifest.run_id, file, dropped)
            if claim.version is None:
                lost.append(f"{file.name} was not loaded: {claim.reason}")
                log.warning("file_not_taken", reason=lost[-1])
            else:
                settled = dropped.model_copy(update={"version": claim.version})
                kept.append(file.model_copy(update={"dropped": settled}))
        for _, dropped in _dropped(manifest):
            await self.lake.delete_version(dropped.inbox_key, dropped.etag)
        return manifest.model_copy(
            update={"files": tuple(kept), "warnings": (*manifest.warnings, *lost)}
        )

    async def _look(
        self, dataset: Dataset, source: DropSource, stored: StoredObject, path: Path
    ) -> _Seen | None:
        """Check one file and copy it to `accepted/`; None for one that is not ours or is gone.

        Raises:
            UnfitFile: it cannot be taken.
        """
        name = stored.key.removeprefix(INBOX)
        table = _table_for(name, source)
        if table is None:
            return None
        if stored.bytes > self.most_bytes:
            raise UnfitFile(f"it has {stored.bytes:,} bytes, {self.most_bytes:,} are allowed")
        if not await self.lake.download_version(stored.key, stored.etag, path):
            return None
        shape = await asyncio.to_thread(shape_of, path, table)
        sha256 = await asyncio.to_thread(_digest, path)
        path.unlink()  # noqa: ASYNC240  # one local file
        file = CollectedFile(
            name=name,
            key=f"accepted/{table.name}/{sha256[:16]}/{name.rpartition('/')[2]}",
            bytes=stored.bytes,
            sha256=sha256,
            rows=shape.rows,
            dropped=DroppedFile(
                table=table.name,
                inbox_key=stored.key,
                etag=stored.etag,
                dropped_at=stored.written_at,
                delimiter=shape.delimiter,
                header=shape.header,
            ),
        )
        twin = await self.books.twin(dataset.name, table.name, sha256)
        if twin is None and not await self.lake.copy_version(stored.key, stored.etag, file.key):
            return None
        log.info("file_checked", file=name, table=table.name, rows=shape.rows, twin=twin)
        return _Seen(file, twin)

    async def _put_away(self, stored: StoredObject, twin: str) -> str:
        """Take a file from the inbox whose content is loaded; say so."""
        await self.lake.delete_version(stored.key, stored.etag)
        name = stored.key.removeprefix(INBOX)
        sentence = f"{name} was not loaded: it has the content of {twin}, which is loaded"
        log.info("file_known_already", reason=sentence)
        return sentence

    async def _reject(self, order: Order, stored: StoredObject, reason: str) -> str:
        """Move a file to `rejected/`, the reason beside it.

        The key follows from name and content, so that a repeated drop is rejected in one place.
        """
        name = stored.key.removeprefix(INBOX)
        key = f"rejected/{stored.etag.strip(chr(34))[:16]}/{name}"
        document = {
            "file": name,
            "reason": reason,
            "dropped_at": stored.written_at.isoformat(),
            "bytes": stored.bytes,
            "dataset": order.dataset.name,
            "run_id": order.run_id,
        }
        sentence = f"{name} was rejected: {reason}"
        log.warning("file_rejected", reason=sentence)
        if stored.bytes > _COPIED_BYTES:
            sentence = f"{sentence}; it is too large to be moved and stays in {INBOX}"
        elif not await self.lake.copy_version(stored.key, stored.etag, key):
            return f"{sentence}; it was replaced meanwhile"
        await self.lake.put(f"{key}.reason.json", json.dumps(document, indent=1).encode())
        if stored.bytes <= _COPIED_BYTES:
            await self.lake.delete_version(stored.key, stored.etag)
        return sentence


def _table_for(name: str, source: DropSource) -> DropTable | None:
    """Return our table for a file; None when it is another dataset's, or a folder's mark.

    Raises:
        UnfitFile: its name fits no table, or more than one.
    """
    if not name or name.endswith("/"):
        return None
    everyones = [
        (dataset.name, table)
        for dataset in all_datasets().values()
        if isinstance(dataset.source, DropSource)
        for table in dataset.source.takers(name)
    ]
    if not everyones:
        known = ", ".join(pattern for table in source.tables for pattern in table.patterns)
        raise UnfitFile(f"its name fits no pattern of any dataset, here: {known}")
    if len(everyones) > 1:
        found = ", ".join(f"{dataset}.{table.name}" for dataset, table in everyones)
        raise UnfitFile(f"its name fits several tables: {found}")
    (_, table) = everyones[0]
    return table if table in source.tables else None


def _dropped(manifest: Manifest) -> Iterator[tuple[CollectedFile, DroppedFile]]:
    return ((file, file.dropped) for file in manifest.files if file.dropped)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _drop(dataset: Dataset) -> DropSource:
    if not isinstance(dataset.source, DropSource):
        raise InvalidRequest(f"{dataset.name} is not dropped")
    return dataset.source

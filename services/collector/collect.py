"""The collector's use case: one folder into the lake, manifest last, then the event."""

import asyncio
import hashlib
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol
from zipfile import ZipInfo

from contracts import (
    MANIFEST_NAME,
    CollectedFile,
    CollectFolder,
    Dataset,
    Envelope,
    FolderComplete,
    Manifest,
    S3Object,
    raw_prefix,
)
from contracts.datasets import UnknownDataset, dataset_named
from services.collector.archive import Caps, extract, members_of
from services.collector.folder import check_quarter, missing_parts
from services.collector.sources.source import Download, Source
from shared.consumer import Done
from shared.errors import InvalidRequest
from shared.log import log
from shared.together import together

Publish = Callable[[Envelope[FolderComplete]], Awaitable[None]]


class Uploads(Protocol):
    """The part of the lake that the collector uses."""

    bucket: str

    async def exists(self, key: str) -> bool:
        """Say whether `key` holds an object."""

    async def get(self, key: str) -> bytes:
        """Read one object."""

    async def put(self, key: str, data: bytes) -> None:
        """Write one object."""

    async def upload(self, path: Path, key: str) -> None:
        """Write a file."""


@dataclass(frozen=True)
class Limits:
    """What an archive may hold, and how many members are inflated and uploaded side by side."""

    caps: Caps = field(default_factory=Caps)
    side_by_side: int = 8


async def collect(
    envelope: Envelope[CollectFolder],
    *,
    lake: Uploads,
    sources: Mapping[str, Source],
    publish: Publish,
    now: Callable[[], datetime],
    limits: Limits,
) -> Done:
    """Bring one folder into the lake and announce it.

    A folder whose manifest is there is announced again and not fetched again. Files without a
    manifest are leftovers of a run that died; they are written again under the same keys.

    Raises:
        InvalidRequest: the dataset is unknown, or is quarterly and no quarter was named.
    """
    command = envelope.payload
    dataset = _declaration(command)
    prefix = raw_prefix(dataset.name, command.part, envelope.run_id)
    manifest_key = f"{prefix}{MANIFEST_NAME}"
    if await lake.exists(manifest_key):
        stored = await lake.get(manifest_key)
        await publish(_announcement(envelope, stored, prefix, lake.bucket, now()))
        return _done(Manifest.model_validate_json(stored), outcome="collected_before")
    with tempfile.TemporaryDirectory(prefix="quarry-collect-") as folder:
        source = sources[dataset.source.kind]
        download, collected_at = await _fetch(command, dataset, source, Path(folder)), now()
        infos = await asyncio.to_thread(members_of, download.path, limits.caps)
        warnings = _look_at_names([info.filename for info in infos], command, dataset)
        digest = asyncio.create_task(asyncio.to_thread(_digest, download.path))
        files = await _store_members(
            infos, prefix, download=download, folder=Path(folder), lake=lake, limits=limits
        )
        manifest = Manifest(
            dataset=dataset.name,
            period=command.period,
            run_id=envelope.run_id,
            source_url=download.url,
            collected_at=collected_at,
            archive_name=download.name,
            archive_bytes=download.path.stat().st_size,  # one stat of a local file
            archive_sha256=await digest,
            files=tuple(sorted(files, key=lambda file: file.name)),
            warnings=warnings,
        )
    document = manifest.model_dump_json(indent=1).encode()
    await lake.put(manifest_key, document)
    log.info("folder_collected", files=len(manifest.files), bytes=manifest.bytes)
    await publish(_announcement(envelope, document, prefix, lake.bucket, now()))
    return _done(manifest, outcome="collected")


async def _fetch(
    command: CollectFolder, dataset: Dataset, source: Source, folder: Path
) -> Download:
    if command.period is None:
        raise InvalidRequest(f"{dataset.name} is quarterly; the command names no period")
    return await source.fetch(dataset.source, command.period, folder)


def _look_at_names(names: list[str], command: CollectFolder, dataset: Dataset) -> tuple[str, ...]:
    """Refuse another quarter's members; return what is missing as warnings."""
    if command.period is not None:
        check_quarter(names, dataset.source, command.period)
    warnings = tuple(
        f"{dataset.name} {command.part}: {sentence}"
        for sentence in missing_parts(names, dataset.source)
    )
    for warning in warnings:
        log.warning("folder_incomplete", reason=warning)
    return warnings


async def _store_members(
    infos: list[ZipInfo],
    prefix: str,
    *,
    download: Download,
    folder: Path,
    lake: Uploads,
    limits: Limits,
) -> list[CollectedFile]:
    """Inflate in threads while earlier members are on their way to S3."""
    places = asyncio.Semaphore(limits.side_by_side)

    async def store(info: ZipInfo) -> CollectedFile:
        async with places:
            member = await asyncio.to_thread(extract, download.path, info, folder, limits.caps)
            key = f"{prefix}{member.name}"
            await lake.upload(member.path, key)
            member.path.unlink()
            return CollectedFile(
                name=member.name, key=key, bytes=member.bytes, sha256=member.sha256
            )

    # Large members first, so that none is still inflating when the others are done.
    ordered = sorted(infos, key=lambda info: -info.file_size)
    return await together(store(info) for info in ordered)


def _declaration(command: CollectFolder) -> Dataset:
    try:
        return dataset_named(command.dataset)
    except UnknownDataset as error:
        raise InvalidRequest(str(error)) from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _announcement(
    envelope: Envelope[CollectFolder],
    document: bytes,
    prefix: str,
    bucket: str,
    moment: datetime,
) -> Envelope[FolderComplete]:
    manifest = Manifest.model_validate_json(document)
    payload = FolderComplete(
        dataset=manifest.dataset,
        period=manifest.period,
        prefix=prefix,
        manifest=S3Object(
            bucket=bucket,
            key=f"{prefix}{MANIFEST_NAME}",
            bytes=len(document),
            sha256=hashlib.sha256(document).hexdigest(),
        ),
        files=len(manifest.files),
        bytes=manifest.bytes,
        collected_at=manifest.collected_at,
        warnings=manifest.warnings,
    )
    return Envelope[FolderComplete].wrap(
        payload, run_id=envelope.run_id, trace=envelope.trace, sent_at=moment
    )


def _done(manifest: Manifest, *, outcome: str) -> Done:
    return Done(
        counts={"files": len(manifest.files), "bytes": manifest.bytes},
        expects=(str(manifest.period) if manifest.period else "all",),
        warnings=manifest.warnings,
        outcome=outcome,
    )

"""The collector's use case: one folder into the lake, manifest last, then the event."""

import asyncio
import hashlib
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, Self
from zipfile import ZipInfo

from contracts import (
    MANIFEST_NAME,
    CollectedFile,
    CollectFolder,
    Dataset,
    Envelope,
    FolderComplete,
    Manifest,
    Period,
    PortalSource,
    S3Object,
    raw_prefix,
)
from contracts.datasets import UnknownDataset, dataset_named
from services.collector.archive import Caps, extract, members_of
from services.collector.folder import check_quarter, missing_parts
from services.collector.sources.source import Download, Gatherer, Order, Source
from shared.consumer import Done
from shared.errors import InvalidRequest, SourceBusy
from shared.leftovers import folder_prefix
from shared.log import log
from shared.together import together

Publish = Callable[[Envelope[FolderComplete]], Awaitable[None]]


class Uploads(Protocol):
    """The part of the lake that the collector uses."""

    bucket: str

    async def get_with_etag(self, key: str) -> tuple[bytes, str] | None:
        """Read one object and the tag of its version; None if there is none."""

    async def put_if(self, key: str, data: bytes, etag: str | None) -> bool:
        """Write over version `etag`, with None only a new key; say whether it was written."""

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
    gatherers: Mapping[str, Gatherer] = MappingProxyType({}),
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
    order = Order(dataset, envelope.run_id, prefix, command.max_items)
    (folder, voided), outcome = await _stored(lake, order.manifest_key), "collected_before"
    portal = dataset.source if isinstance(dataset.source, PortalSource) else None
    if folder is None:
        manifest = (
            await _take_apart(
                command, portal, order, source=sources["portal"], lake=lake, limits=limits, now=now
            )
            if portal
            else await gatherers[dataset.source.kind].gather(order)
        )
        if manifest is None or not manifest.files:
            said = manifest.warnings if manifest else ()
            return Done(outcome="nothing_taken" if said else "nothing_new", warnings=said)
        folder, outcome = _Folder.of(manifest), "collected"
        await _store(lake, order, folder, voided)
        log.info("folder_collected", files=len(manifest.files), bytes=manifest.bytes)
    if portal is None:
        folder = await _settled(folder, order, gatherers[dataset.source.kind], lake)
    await publish(_announcement(envelope, folder, order.prefix, lake.bucket, now()))
    return _done(folder.manifest, outcome=outcome)


@dataclass(frozen=True)
class _Folder:
    """A manifest and its very bytes: an older writer's are not what today's would be."""

    manifest: Manifest
    document: bytes

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        return cls(manifest, manifest.model_dump_json(indent=1).encode())


async def _stored(lake: Uploads, key: str) -> tuple[_Folder | None, str | None]:
    """Return what was collected, and the tag of a manifest that another run's made void."""
    found = await lake.get_with_etag(key)
    if found is None:
        return None, None
    document, etag = found
    manifest = Manifest.model_validate_json(document)
    return (_Folder(manifest, document), None) if manifest.files else (None, etag)


async def _store(lake: Uploads, order: Order, folder: _Folder, voided: str | None) -> None:
    """Write the manifest, unless another delivery of the same message has."""
    if not await lake.put_if(order.manifest_key, folder.document, voided):
        raise SourceBusy(f"{order.manifest_key} was written meanwhile; going on from there")


async def _settled(folder: _Folder, order: Order, gatherer: Gatherer, lake: Uploads) -> _Folder:
    """Let the source do its books, and keep of the folder what is this run's."""
    settled = await gatherer.settle(folder.manifest)
    if settled == folder.manifest:
        return folder
    ours = _Folder.of(settled)
    await lake.put(order.manifest_key, ours.document)
    if not settled.files:
        raise SourceBusy(f"another run of {settled.dataset} was quicker; looking again later")
    return ours


async def _take_apart(
    command: CollectFolder,
    portal: PortalSource,
    order: Order,
    *,
    source: Source,
    lake: Uploads,
    limits: Limits,
    now: Callable[[], datetime],
) -> Manifest:
    """Download an archive and store its members."""
    if command.period is None:
        raise InvalidRequest(f"{command.dataset} is quarterly; the command names no period")
    # A thread that outlives a cancelled step may still write here for a moment.
    with tempfile.TemporaryDirectory(
        prefix=folder_prefix("collect"), ignore_cleanup_errors=True
    ) as folder:
        download = await source.fetch(portal, command.period, Path(folder))
        collected_at = now()
        infos = await asyncio.to_thread(members_of, download.path, limits.caps)
        names = [info.filename for info in infos]
        warnings = _look_at_names(names, command, portal, command.period)
        files = await _store_members(
            infos, order.prefix, download=download, folder=Path(folder), lake=lake, limits=limits
        )
        return Manifest(
            dataset=command.dataset,
            period=command.period,
            run_id=order.run_id,
            source_url=download.url,
            collected_at=collected_at,
            archive_name=download.name,
            archive_bytes=download.path.stat().st_size,  # one stat of a local file
            archive_sha256=await asyncio.to_thread(_digest, download.path),
            files=tuple(sorted(files, key=lambda file: file.name)),
            warnings=warnings,
        )


def _look_at_names(
    names: list[str], command: CollectFolder, portal: PortalSource, period: Period
) -> tuple[str, ...]:
    """Refuse another quarter's members; return what is missing as warnings."""
    check_quarter(names, portal, period)
    warnings = tuple(
        f"{command.dataset} {command.part}: {sentence}" for sentence in missing_parts(names, portal)
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
    folder: _Folder,
    prefix: str,
    bucket: str,
    moment: datetime,
) -> Envelope[FolderComplete]:
    manifest, document = folder.manifest, folder.document
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
        packets=manifest.packets,
        save_csv=envelope.payload.save_csv,
    )
    return Envelope[FolderComplete].wrap(
        payload, run_id=envelope.run_id, trace=envelope.trace, sent_at=moment
    )


def _done(manifest: Manifest, *, outcome: str) -> Done:
    counts = {"files": len(manifest.files), "bytes": manifest.bytes}
    counted = [file.rows for file in manifest.files if file.rows is not None]
    return Done(
        counts=counts | {"rows": sum(counted)} if counted else counts,
        expects=(str(manifest.period) if manifest.period else "all",),
        warnings=manifest.warnings,
        outcome=outcome,
    )

"""Fetching a folder from the lake, with every byte checked against its manifest."""

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from contracts import CollectedFile, FolderComplete, Manifest
from shared.errors import ManifestMismatch
from shared.together import together

_AT_ONCE = 8


class ReadableLake(Protocol):
    """The lake as far as it is read."""

    async def get(self, key: str) -> bytes:
        """Return an object's bytes."""
        ...

    async def download(self, key: str, path: Path) -> None:
        """Write an object's bytes into a file."""
        ...


@dataclass(frozen=True)
class FetchedFile:
    """A file of the manifest and its verified local copy."""

    listed: CollectedFile
    path: Path


async def fetch_folder(
    event: FolderComplete, lake: ReadableLake, target: Path
) -> tuple[FetchedFile, ...]:
    """Download the files of a manifest, several at a time, in the manifest's order.

    Raises:
        ManifestMismatch: the manifest is not the one the event names, or a file is not the one
            the manifest describes.
    """
    manifest = _checked(await lake.get(event.manifest.key), event)
    slots = asyncio.Semaphore(_AT_ONCE)

    async def fetch(position: int, listed: CollectedFile) -> FetchedFile:
        # Never the listed name: a file's name is not to decide where it lands.
        path = target / f"{position}.txt"
        async with slots:
            await lake.download(listed.key, path)
            await asyncio.to_thread(verify, path, listed.key, listed.bytes, listed.sha256)
        return FetchedFile(listed, path)

    return tuple(
        await together(fetch(position, listed) for position, listed in enumerate(manifest.files))
    )


def _checked(data: bytes, event: FolderComplete) -> Manifest:
    key = event.manifest.key
    if hashlib.sha256(data).hexdigest() != event.manifest.sha256:
        raise ManifestMismatch(f"{key} is not the manifest that FolderComplete names; collect anew")
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise ManifestMismatch(f"{key} is not a manifest: {error}") from error
    if (manifest.dataset, manifest.period) != (event.dataset, event.period):
        raise ManifestMismatch(
            f"{key} is about {manifest.dataset} {manifest.period}, "
            f"FolderComplete about {event.dataset} {event.period}"
        )
    if len({file.name for file in manifest.files}) < len(manifest.files):
        raise ManifestMismatch(f"{key} lists the same name twice")
    return manifest


def verify(path: Path, key: str, size: int, sha256: str) -> None:
    """Check that a local copy has the bytes that were stored.

    Raises:
        ManifestMismatch: it has not.
    """
    digest = sha256_of(path)
    found = path.stat().st_size
    if (found, digest) != (size, sha256):
        raise ManifestMismatch(
            f"{key} has {found} bytes and digest {digest[:12]}…, the manifest says "
            f"{size} and {sha256[:12]}…; collect the folder anew"
        )


def sha256_of(path: Path) -> str:
    """Return a file's digest as lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

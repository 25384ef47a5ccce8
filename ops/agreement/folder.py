"""A folder's members against its manifest."""

import asyncio
import hashlib

from contracts import CollectedFile, Manifest
from ops.agreement.difference import Difference, Lake
from ops.agreement.dropped_file import check_dropped
from shared.errors import QuarryError

_SIDE_BY_SIDE = 8


async def check_folder(lake: Lake, key: str) -> tuple[list[Difference], dict[str, int]]:
    """Compare the stored members with the manifest: which there are, their bytes and digests.

    Also returns how many lines each file holds, by its name; for dropped files, how many records.
    """
    try:
        manifest = Manifest.model_validate_json(await lake.get(key))
    except QuarryError as error:
        return [Difference(key, f"the manifest cannot be read: {error}")], {}
    prefix = key.rpartition("/")[0] + "/"
    stored = {found for found in await lake.keys(prefix) if found != key}
    listed = {file.key for file in manifest.files}
    differences = [
        Difference(name, "is stored, but not in the manifest") for name in sorted(stored - listed)
    ]
    lines: dict[str, int] = {}
    gate = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def check(file: CollectedFile) -> str | None:
        async with gate:
            if file.dropped:
                lines[file.name] = file.rows or 0
                return await check_dropped(lake, file, file.dropped)
            try:
                data = await lake.get(file.key)
            except QuarryError as error:
                return f"is in the manifest, but: {error}"
        lines[file.name] = _lines(data)
        if len(data) != file.bytes:
            return f"has {len(data)} bytes, the manifest says {file.bytes}"
        if hashlib.sha256(data).hexdigest() != file.sha256:
            return "does not have the digest of the manifest"
        if file.rows is not None and file.rows != lines[file.name]:
            return f"holds {lines[file.name]} records, the manifest says {file.rows}"
        return None

    checks = await asyncio.gather(*(check(file) for file in manifest.files))
    differences += [
        Difference(file.key, said)
        for file, said in zip(manifest.files, checks, strict=True)
        if said is not None
    ]
    return differences, lines


def _lines(data: bytes) -> int:
    # Where lines end in CR LF, a bare LF is part of a text.
    ending = b"\r\n" if b"\r\n" in data else b"\n"
    return data.count(ending) + (bool(data) and not data.endswith(ending))

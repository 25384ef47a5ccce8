"""A dropped file against its manifest, however large it is."""

import asyncio
import csv
import hashlib
import tempfile
from pathlib import Path

from contracts import CollectedFile
from contracts.drop_table import DroppedFile
from ops.agreement.difference import Lake
from shared.errors import QuarryError


async def check_dropped(lake: Lake, file: CollectedFile, dropped: DroppedFile) -> str | None:
    """Say what of a stored file is not as its manifest says; memory holds one record."""
    with tempfile.TemporaryDirectory(prefix="quarry-reconcile-") as folder:
        path = Path(folder) / "file"
        try:
            await lake.download(file.key, path)
        except QuarryError as error:
            return f"is in the manifest, but: {error}"
        return await asyncio.to_thread(_compare, path, file, dropped)


def _compare(path: Path, file: CollectedFile, dropped: DroppedFile) -> str | None:
    size = path.stat().st_size
    if size != file.bytes:
        return f"has {size} bytes, the manifest says {file.bytes}"
    with path.open("rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != file.sha256:
            return "does not have the digest of the manifest"
    with path.open(encoding="utf-8-sig", newline="") as text:
        found = sum(1 for cells in csv.reader(text, delimiter=dropped.delimiter) if cells)
    records = found - dropped.header
    if records != file.rows:
        return f"holds {records} records, the manifest says {file.rows}"
    return None

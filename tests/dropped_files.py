"""Dropped files for tests of the processor: checked as the collector does, listed in a manifest."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from contracts import CollectedFile, Envelope, FolderComplete, Manifest, S3Object
from contracts.drop_table import DroppedFile, DropTable
from services.collector.delimited import shape_of
from tests.fakes import FakeLake

DROPPED = datetime(2026, 11, 21, 8, tzinfo=UTC)
COLLECTED = datetime(2026, 11, 21, 9, tzinfo=UTC)


def listed(path: Path, table: DropTable, name: str, version: int = 1) -> CollectedFile:
    """Describe a file as the collector would."""
    shape = shape_of(path, table)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return CollectedFile(
        name=name,
        key=f"accepted/{table.name}/{sha256[:16]}/{name}",
        bytes=path.stat().st_size,
        sha256=sha256,
        rows=shape.rows,
        dropped=DroppedFile(
            table=table.name,
            inbox_key=f"inbox/{name}",
            etag='"1"',
            dropped_at=DROPPED,
            delimiter=shape.delimiter,
            header=shape.header,
            version=version,
        ),
    )


async def announce(lake: FakeLake, files: list[CollectedFile]) -> Envelope[FolderComplete]:
    """Store a manifest of files that are in the lake; return the event about it."""
    manifest = Manifest(
        dataset="hires",
        run_id="run-1",
        source_url="s3://lake/inbox/",
        collected_at=COLLECTED,
        files=tuple(files),
    )
    document = manifest.model_dump_json().encode()
    key = "raw/hires/all/run-1/_manifest.json"
    await lake.put(key, document)
    event = FolderComplete(
        dataset="hires",
        prefix="raw/hires/all/run-1/",
        manifest=S3Object(
            bucket=lake.bucket,
            key=key,
            bytes=len(document),
            sha256=hashlib.sha256(document).hexdigest(),
        ),
        files=len(files),
        bytes=manifest.bytes,
        collected_at=COLLECTED,
    )
    return Envelope[FolderComplete].wrap(event, run_id="run-1", trace=None, sent_at=COLLECTED)

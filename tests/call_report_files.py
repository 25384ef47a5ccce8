"""Small call-report files written the way the source writes them, and the events about them."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from contracts import (
    MANIFEST_NAME,
    CollectedFile,
    Envelope,
    FolderComplete,
    Manifest,
    Period,
    S3Object,
    raw_prefix,
)
from shared.lake import Lake
from tests.fakes import FakeLake

QUARTER = Period(2013, 1)
COLLECTED = datetime(2026, 11, 21, 9, tzinfo=UTC)

_PANEL_HEADER = (
    "FDIC Certificate Number",
    "OCC Charter Number",
    "OTS Docket Number",
    "Primary ABA Routing Number",
    "Financial Institution Name",
    "Financial Institution Address",
    "Financial Institution City",
    "Financial Institution State",
    "Financial Institution Zip Code",
    "Financial Institution Filing Type",
    "Last Date/Time Submission Updated On",
)
A_BANK = (
    "10057",
    "0",
    "16553",
    "61107146",
    "BANK OF HANCOCK COUNTY",
    "12855 BROAD STREET ",
    "SPARTA",
    "GA",
    "31087",
    "041",
    "2013-04-20T08:58:24",
)


def schedule_name(table: str, part: str = "") -> str:
    """Return the site's name of a schedule of 2013Q1; `part` like `(1 of 2)`."""
    return f"FFIEC CDR Call Schedule {table} 03312013{part}.txt"


PANEL_NAME = "FFIEC CDR Call Bulk POR 03312013.txt"


def schedule(
    codes: Sequence[str],
    rows: Sequence[Sequence[str]],
    descriptions: Sequence[str] | None = None,
) -> bytes:
    """Write a schedule; each row starts with its IDRSSD."""
    head = [['"IDRSSD"', *codes], ["", *(descriptions or [f"ITEM {code}" for code in codes])]]
    return "".join("\t".join(line) + "\t\r\n" for line in [*head, *rows]).encode()


def panel(banks: Mapping[int, Sequence[str]]) -> bytes:
    """Write the panel of reporters: its lines have no tab at their end."""
    lines = [['"IDRSSD"', *_PANEL_HEADER], *([str(idrssd), *row] for idrssd, row in banks.items())]
    return "".join("\t".join(line) + "\r\n" for line in lines).encode()


def write_files(folder: Path, files: Mapping[str, bytes]) -> dict[str, Path]:
    """Put files on disk; return their paths by name."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return {name: folder / name for name in files}


async def collect(
    lake: FakeLake | Lake,
    files: Mapping[str, bytes],
    *,
    run_id: str = "run-1",
    period: Period = QUARTER,
    warnings: Sequence[str] = (),
) -> Envelope[FolderComplete]:
    """Store a folder as the collector does and return its event."""
    prefix = raw_prefix("call_reports", str(period), run_id)
    for name, data in files.items():
        await lake.put(prefix + name, data)
    listed = tuple(
        CollectedFile(
            name=name, key=prefix + name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest()
        )
        for name, data in files.items()
    )
    manifest = Manifest(
        dataset="call_reports",
        period=period,
        run_id=run_id,
        source_url="https://source.example",
        collected_at=COLLECTED,
        files=listed,
    )
    data = manifest.model_dump_json().encode()
    await lake.put(prefix + MANIFEST_NAME, data)
    event = FolderComplete(
        dataset="call_reports",
        period=period,
        prefix=prefix,
        manifest=S3Object(
            bucket=lake.bucket,
            key=prefix + MANIFEST_NAME,
            bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        ),
        files=len(listed),
        bytes=manifest.bytes,
        collected_at=COLLECTED,
        warnings=tuple(warnings),
    )
    return Envelope[FolderComplete].wrap(event, run_id=run_id, trace=None, sent_at=COLLECTED)

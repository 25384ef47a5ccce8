"""A scanned folder of invoice items in a fake lake, with its manifest and event."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from contracts import (
    MANIFEST_NAME,
    CollectedFile,
    Envelope,
    FolderComplete,
    Manifest,
    S3Object,
    raw_prefix,
)
from contracts.item_tables import part_name
from tests.fakes import FakeLake

Item = dict[str, Any]
COLLECTED = datetime(2026, 11, 21, 9, tzinfo=UTC)
PREFIX = raw_prefix("invoices", "all", "run-1")
DOCUMENT: Item = {
    "document_id": {"S": "d-1"},
    "case_number": {"S": "C-1"},
    "status": {"S": "sent"},
    "customer": {"M": {"name": {"S": 'O\'Hara, "Ltd"'}}},
    "amount": {"M": {"currency": {"S": "GBP"}, "net": {"N": "12.3400"}}},
    "paid": {"BOOL": True},
    "issued_on": {"S": "2026-11-20"},
    "received_at": {"S": "2026-11-20T08:00:00Z"},
}


def document(key: str, **attributes: Any) -> Item:
    """Return a document that fits, with other attributes; None leaves one out."""
    item = DOCUMENT | {"document_id": {"S": key}} | attributes
    return {name: value for name, value in item.items() if value is not None}


def lines(*items: Item) -> bytes:
    """Write items as the collector does."""
    return b"".join(json.dumps({"Item": item}).encode() + b"\n" for item in items)


async def scanned(
    lake: FakeLake,
    parts: Mapping[str, Sequence[bytes]],
    *,
    rows: int | None = None,
    save_csv: bool = False,
) -> Envelope[FolderComplete]:
    """Store files of each table as one segment; `rows` is what the manifest says of documents."""
    files = []
    for table in ("documents", "metadata", "templates", "audit"):
        for number, data in enumerate(parts.get(table) or [b""], 1):
            name = part_name(table, 1, 1, number)
            await lake.put(PREFIX + name, data)
            files.append(
                CollectedFile(
                    name=name,
                    key=PREFIX + name,
                    bytes=len(data),
                    sha256=hashlib.sha256(data).hexdigest(),
                    rows=data.count(b"\n") if rows is None or table != "documents" else rows,
                )
            )
    manifest = Manifest(
        dataset="invoices",
        run_id="run-1",
        source_url="dynamodb:invoice-{table}-local",
        collected_at=COLLECTED,
        files=tuple(files),
    )
    stored = manifest.model_dump_json().encode()
    await lake.put(PREFIX + MANIFEST_NAME, stored)
    payload = FolderComplete(
        dataset="invoices",
        prefix=PREFIX,
        manifest=S3Object(
            bucket=lake.bucket,
            key=PREFIX + MANIFEST_NAME,
            bytes=len(stored),
            sha256=hashlib.sha256(stored).hexdigest(),
        ),
        files=len(files),
        bytes=manifest.bytes,
        collected_at=COLLECTED,
        save_csv=save_csv,
    )
    return Envelope[FolderComplete].wrap(payload, run_id="run-1", trace=None, sent_at=COLLECTED)

"""One segment of a DynamoDB table into files of the lake, going on after a crash."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from contracts import CollectedFile
from contracts.item_tables import part_name
from shared.aws import aws_errors
from shared.errors import RowsUnaccounted, SourceBusy
from shared.log import log

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient

Item = Mapping[str, Any]
# A page of a scan has at most a megabyte; so much is read again after a crash.
PART_BYTES = 8 * 1024 * 1024


class Parts(Protocol):
    """The part of the lake that keeps a segment's files."""

    async def get_with_etag(self, key: str) -> tuple[bytes, str] | None:
        """Read an object and its version; None if there is none."""
        ...

    async def put_if(self, key: str, data: bytes, etag: str | None) -> bool:
        """Write over version `etag`, with None only a new key; say whether it was written."""
        ...


@dataclass
class Allowance:
    """How many items of a table may still be taken; None: all."""

    left: int | None = None

    @property
    def used_up(self) -> bool:
        """Whether nothing more may be taken."""
        return self.left is not None and self.left <= 0

    def take(self, wanted: int) -> int:
        """Return how many of the wanted items may be taken, which are then taken."""
        if self.left is None:
            return wanted
        taken = min(wanted, max(self.left, 0))
        self.left -= taken
        return taken


@dataclass(frozen=True)
class Segment:
    """Which piece of which table: `number` counts from 1, `key` names the primary key's parts."""

    table: str
    called: str
    key: Sequence[str]
    number: int
    segments: int

    def part(self, number: int) -> str:
        """Return the name of a file of the segment."""
        return part_name(self.table, self.number, self.segments, number)


@dataclass
class _Pending:
    """Lines that are not stored yet."""

    text: bytearray
    rows: int = 0

    def add(self, items: Sequence[Item]) -> None:
        for item in items:
            self.text += line_of(item)
        self.rows += len(items)


async def scan_segment(
    client: "DynamoDBClient",
    segment: Segment,
    *,
    lake: Parts,
    prefix: str,
    allowance: Allowance,
    part_bytes: int = PART_BYTES,
) -> list[CollectedFile]:
    """Store the segment's items as JSON Lines and list the files, at least one.

    Each file is written once, under a name that counts; it ends with a page of the scan, so its
    last line tells where to go on. What a run that died has stored is taken over, unread pages
    follow. Memory holds one file and one page.

    Raises:
        RowsUnaccounted: DynamoDB says it scanned another number of items than it returned.
        SourceBusy: another collector of the same run works on this segment.
    """
    files, start = await _taken_before(segment, lake, prefix, allowance)
    if files:
        log.info("segment_resumed", table=segment.table, segment=segment.number, files=len(files))
    if files and not files[-1].bytes:
        return files
    pending = _Pending(bytearray())
    while not allowance.used_up:
        items, start = await _page(client, segment, start, allowance)
        pending.add(items[: allowance.take(len(items))])
        if start is None:
            break
        if len(pending.text) >= part_bytes:
            files.append(await _store(segment, len(files) + 1, pending, lake, prefix))
            pending = _Pending(bytearray())
    if pending.rows or not files:
        files.append(await _store(segment, len(files) + 1, pending, lake, prefix))
    return files


async def _taken_before(
    segment: Segment, lake: Parts, prefix: str, allowance: Allowance
) -> tuple[list[CollectedFile], Item | None]:
    """Return the files that are there, and the key of the last item in them."""
    files: list[CollectedFile] = []
    start: Item | None = None
    while True:
        name = segment.part(len(files) + 1)
        found = await lake.get_with_etag(f"{prefix}{name}")
        if found is None:
            return files, start
        data = found[0]
        rows = data.count(b"\n")
        allowance.take(rows)
        files.append(_listed(name, prefix, data, rows))
        if not rows:
            return files, start
        last = json.loads(data[data.rfind(b"\n", 0, -1) + 1 :])["Item"]
        start = {name: _sent(last[name]) for name in segment.key}


async def _page(
    client: "DynamoDBClient", segment: Segment, start: Item | None, allowance: Allowance
) -> tuple[Sequence[Item], Item | None]:
    where: dict[str, Any] = {} if start is None else {"ExclusiveStartKey": start}
    if allowance.left is not None:
        where["Limit"] = allowance.left
    with aws_errors(f"scanning {segment.called}, segment {segment.number} of {segment.segments}"):
        page = await client.scan(
            TableName=segment.called,
            Segment=segment.number - 1,
            TotalSegments=segment.segments,
            ConsistentRead=True,
            **where,
        )
    items: Sequence[Item] = page["Items"]
    if page["ScannedCount"] != len(items):
        raise RowsUnaccounted(
            f"{segment.called}: DynamoDB scanned {page['ScannedCount']} items, {len(items)} came"
        )
    return items, page.get("LastEvaluatedKey")


async def _store(
    segment: Segment, number: int, pending: _Pending, lake: Parts, prefix: str
) -> CollectedFile:
    name, data = segment.part(number), bytes(pending.text)
    if not await lake.put_if(f"{prefix}{name}", data, None):
        raise SourceBusy(f"{prefix}{name} was written meanwhile; going on from there")
    return _listed(name, prefix, data, pending.rows)


def _listed(name: str, prefix: str, data: bytes, rows: int) -> CollectedFile:
    return CollectedFile(
        name=name,
        key=f"{prefix}{name}",
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        rows=rows,
    )


def line_of(item: Item) -> bytes:
    """Return an item as a line, written as DynamoDB's own exports are: `{"Item": {…}}`."""
    document = {"Item": item}
    text = json.dumps(document, default=_base64, ensure_ascii=False, separators=(",", ":"))
    return text.encode() + b"\n"


def _base64(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"DynamoDB has no attribute of type {type(value).__name__}")


def _sent(value: Mapping[str, str]) -> Mapping[str, Any]:
    """Return a key's stored value as the client wants it: bytes as bytes."""
    return {kind: base64.b64decode(text) if kind == "B" else text for kind, text in value.items()}

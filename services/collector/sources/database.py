"""A PostgreSQL database as a source: each table's new rows as one numbered packet."""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

import asyncpg

from contracts import CollectedFile, DatabaseSource, Manifest, Packet
from contracts.dataset import Source
from contracts.datasets import dataset_named
from contracts.packet_record import PacketRecord, Watermark
from services.collector.sources.packet_books import PacketBooks, Records
from services.collector.sources.row_versions import Snapshot, late_writers, new_rows, ranges_of
from services.collector.sources.source import Order
from shared.errors import InvalidRequest, PermanentError, SourceUnavailable
from shared.leftovers import folder_prefix
from shared.log import log

# Neither can occur inside JSON, so that COPY never quotes or escapes anything.
_DELIMITER, _QUOTE = "\x02", "\x01"
_CONNECT_SECONDS = 15
_WAITING_HELPS = (
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.TransactionRollbackError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
)


class SourceRefused(PermanentError):
    """The source database refuses a query in a way that waiting does not change."""


class PacketLake(Records, Protocol):
    """The lake as packets need it."""

    async def put(self, key: str, data: bytes) -> None:
        """Write one object."""
        ...

    async def upload(self, path: Path, key: str) -> None:
        """Write a file."""
        ...


OpenSource = Callable[[str], Awaitable["asyncpg.Connection[asyncpg.Record]"]]
OpenBooks = Callable[[str, DatabaseSource], PacketBooks]


@dataclass
class _Counted:
    """A file that knows its digest and how many lines it has; rows never lie in memory."""

    file: BinaryIO
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    rows: int = 0

    async def write(self, chunk: bytes) -> None:
        self.digest.update(chunk)
        self.rows += chunk.count(b"\n")
        await asyncio.to_thread(self.file.write, chunk)


@dataclass(frozen=True)
class _Extract:
    """New rows of one table in a local file, and what has been delivered with them."""

    table: str
    path: Path
    rows: int
    sha256: str
    watermark: Watermark


@dataclass(frozen=True)
class DatabaseGatherer:
    """Polls every table in one snapshot. An id counts as taken when its record is written.

    Order of a run: rows to local files, snapshot closed; files and drafts of their records to the
    lake; manifest; records (`settle`), each created once or found to be another run's; counters;
    event. A run that dies is repeated from the manifest if it is there, otherwise from the start.
    """

    open_source: OpenSource
    open_books: OpenBooks
    lake: PacketLake
    now: Callable[[], datetime]

    async def gather(self, order: Order) -> Manifest | None:
        """Store a packet per table that has new rows; None when no table has any.

        Raises:
            SourceUnavailable: the database does not answer for the moment.
            SourceRefused, SourceRestored: it is not, or not any more, what was declared.
        """
        source = _database(order.dataset.source, order.dataset.name)
        books = self.open_books(order.dataset.name, source)
        last = {table: await books.latest(table) for table in source.tables}
        with tempfile.TemporaryDirectory(prefix=folder_prefix("extract")) as folder:
            extracts = await self._extract_all(order, source, last, Path(folder))
            moment = self.now()
            records = [
                await self._store(order, extract, last[extract.table], moment)
                for extract in extracts
            ]
        if not records:
            log.info("nothing_new", dataset=order.dataset.name, tables=len(source.tables))
            return None
        return Manifest(
            dataset=order.dataset.name,
            run_id=order.run_id,
            source_url=f"postgresql:{order.dataset.name}",
            collected_at=moment,
            files=tuple(_listed(record) for record in records),
            packets=tuple(record.packet for record in records),
        )

    async def settle(self, manifest: Manifest) -> Manifest:
        """Write the packets' records; keep those whose id no other run has taken."""
        source = dataset_named(manifest.dataset).source
        books = self.open_books(manifest.dataset, _database(source, manifest.dataset))
        kept: list[tuple[CollectedFile, Packet]] = []
        lost: list[str] = []
        for file, packet in zip(manifest.files, manifest.packets, strict=True):
            draft = PacketRecord.model_validate_json(await self.lake.get(_draft_key(file.key)))
            if await books.claim(draft):
                kept.append((file, packet))
            else:
                lost.append(f"{packet.table}: another run took packet {packet.id} first")
                log.warning("packet_taken", reason=lost[-1])
        return manifest.model_copy(
            update={
                "files": tuple(file for file, _ in kept),
                "packets": tuple(packet for _, packet in kept),
                "warnings": (*manifest.warnings, *lost),
            }
        )

    async def _extract_all(
        self,
        order: Order,
        source: DatabaseSource,
        last: dict[str, PacketRecord | None],
        folder: Path,
    ) -> list[_Extract]:
        async with self._snapshot(order.dataset.name) as connection:
            snapshot = await Snapshot.of(connection)
            found = [
                await _extract(
                    connection, snapshot, (source.table_schema, table), last[table], folder
                )
                for table in source.tables
            ]
        return [extract for extract in found if extract.rows]

    @asynccontextmanager
    async def _snapshot(self, dataset: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        with source_errors(dataset):
            connection = await self.open_source(dataset)
            try:
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    yield connection
            finally:
                await connection.close(timeout=_CONNECT_SECONDS)

    async def _store(
        self, order: Order, extract: _Extract, last: PacketRecord | None, moment: datetime
    ) -> PacketRecord:
        packet = Packet(table=extract.table, id=last.packet.id + 1 if last else 1)
        name = f"{packet.table}_{packet.id}"
        key = (
            f"raw/{order.dataset.name}/{name}/{order.run_id}/{name}_{moment:%Y%m%dT%H%M%S%fZ}.jsonl"
        )
        record = PacketRecord(
            dataset=order.dataset.name,
            packet=packet,
            run_id=order.run_id,
            key=key,
            bytes=extract.path.stat().st_size,  # one stat of a local file
            sha256=extract.sha256,
            rows=extract.rows,
            collected_at=moment,
            manifest_key=order.manifest_key,
            watermark=extract.watermark,
        )
        await self.lake.upload(extract.path, key)
        await self.lake.put(_draft_key(key), record.model_dump_json(indent=1).encode())
        log.info("packet_stored", table=packet.table, packet=packet.id, rows=extract.rows)
        return record


async def _extract(
    connection: "asyncpg.Connection[asyncpg.Record]",
    snapshot: Snapshot,
    table: tuple[str, str],
    before: PacketRecord | None,
    folder: Path,
) -> _Extract:
    """Copy one table's new rows into a file, without holding them in memory."""
    schema, name = table
    quoted = ".".join('"' + part.replace('"', '""') + '"' for part in table)
    since = (
        before.watermark
        if before
        else Watermark(database_oid=snapshot.database_oid, oldest_running=0)
    )
    snapshot.check(since, f"{schema}.{name}")
    delivered = since.delivered
    path = folder / f"{name}.jsonl"
    with path.open("wb") as file:
        counted = _Counted(file)
        await connection.copy_from_query(
            new_rows(quoted),
            snapshot.next_id,
            since.oldest_running,
            [first for first, _ in delivered],
            [last for _, last in delivered],
            output=counted.write,
            format="csv",
            delimiter=_DELIMITER,
            quote=_QUOTE,
        )
    writers: Sequence[asyncpg.Record] = ()
    if counted.rows:
        writers = await connection.fetch(
            late_writers(quoted), snapshot.next_id, snapshot.oldest_running
        )
    watermark = Watermark(
        database_oid=snapshot.database_oid,
        oldest_running=snapshot.oldest_running,
        delivered=ranges_of(row["writer"] for row in writers),
    )
    return _Extract(name, path, counted.rows, counted.digest.hexdigest(), watermark)


@contextmanager
def source_errors(dataset: str) -> Iterator[None]:
    """Translate what PostgreSQL and asyncpg raise inside into the error tree."""
    try:
        yield
    except _WAITING_HELPS as error:
        raise SourceUnavailable(f"the database of {dataset}: {error}") from error
    except asyncpg.PostgresError as error:
        raise SourceRefused(f"the database of {dataset}: {error}") from error


def _draft_key(key: str) -> str:
    return f"{key}.record.json"


def _listed(record: PacketRecord) -> CollectedFile:
    return CollectedFile(
        name=record.key.rpartition("/")[2],
        key=record.key,
        bytes=record.bytes,
        sha256=record.sha256,
    )


def _database(source: Source, dataset: str) -> DatabaseSource:
    if not isinstance(source, DatabaseSource):
        raise InvalidRequest(f"{dataset} does not come from a database")
    return source

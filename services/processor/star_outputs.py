"""Tables of a star schema on their way out: Parquet under names that tell table and packet."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import polars as pl

from contracts import Dataset, LoadTable, S3Object, clean_prefix
from contracts.packet_record import PacketRecord
from contracts.star_schema import StarSchema
from services.processor.download import ReadableLake, sha256_of
from services.processor.load_order import load_id
from services.processor.parquet import ParquetFile, ParquetParts
from services.processor.star_misfits import Misfits
from services.processor.type_registry import VersionedStore
from shared.errors import PermanentError


class ObjectDiffers(PermanentError):
    """An object of this name exists and holds something else."""


class OutputLake(ReadableLake, VersionedStore, Protocol):
    """The lake as outputs need it."""

    bucket: str

    async def exists(self, key: str) -> bool:
        """Say whether there is an object."""
        ...

    async def upload(self, path: Path, key: str) -> None:
        """Write a file's bytes as an object."""
        ...


@dataclass(frozen=True)
class Outputs:
    """Where one run's tables go. `moment` is in their names and orders their loads."""

    dataset: Dataset
    star: StarSchema
    run_id: str
    records: Sequence[PacketRecord]
    moment: datetime
    folder: Path
    lake: OutputLake
    parts: dict[str, ParquetParts] = field(default_factory=dict)

    @property
    def prefix(self) -> str:
        """The folder of this run's tables."""
        return clean_prefix(self.dataset.name, "all", self.run_id)

    @property
    def token(self) -> str:
        """What tells this attempt's objects from any other's."""
        return f"{self.run_id}-{self.moment:%Y%m%dT%H%M%S%fZ}"

    def add(self, table: str, frame: pl.DataFrame) -> None:
        """Take over rows of a table; they lie on disk until `store`."""
        if table not in self.parts:
            about = {
                "dataset": self.dataset.name,
                "table": table,
                "key": list(self.dataset.rule_of(table).key),
            }
            self.parts[table] = ParquetParts(self.folder / f"{table}.parquet", about)
        self.parts[table].add(frame)

    async def store(self) -> list[LoadTable]:
        """Bring all tables into the lake and return the orders to load them.

        Raises:
            ObjectDiffers: an object of a table's name holds something else.
        """
        return [await self._store(table, parts) for table, parts in self.parts.items()]

    async def _store(self, table: str, parts: ParquetParts) -> LoadTable:
        rule = self.dataset.rule_of(table)
        record = self._cause(table)
        name = f"{table}_{record.packet.id}_processed_{self.moment:%Y%m%dT%H%M%S%fZ}.parquet"
        written = await asyncio.to_thread(parts.close)
        await put_once(self.lake, self.prefix + name, written)
        written.path.unlink()
        schema = self.dataset.table_schema
        return LoadTable(
            dataset=self.dataset.name,
            load_id=load_id(self.run_id, f"{schema}.{table}", "all"),
            table_schema=schema,
            table=table,
            mode=rule.mode,
            key=rule.key,
            object=S3Object(
                bucket=self.lake.bucket,
                key=self.prefix + name,
                bytes=written.bytes,
                sha256=written.sha256,
            ),
            rows=parts.rows,
            schema_fingerprint=written.fingerprint,
            content_digest=written.sha256,
            manifest_key=record.manifest_key,
            as_of=self.moment,
            database=self.dataset.database,
        )

    async def quarantine(self, misfits: Misfits) -> None:
        """Store a packet's rows that did not fit; nothing when all did."""
        written = await asyncio.to_thread(misfits.close)
        if written is None:
            return
        packet = misfits.record.packet
        name = f"{packet.table}_{packet.id}.parquet"
        await put_once(self.lake, f"{self.prefix}_quarantine/{name}", written)
        written.path.unlink()

    def _cause(self, table: str) -> PacketRecord:
        """Return the packet a table is named after: its own, else one that completed it."""
        feeding = {
            **{fact.name: (fact.of,) for fact in self.star.facts},
            **{
                each.name: (each.of, *(lookup.table for lookup in each.lookups))
                for each in self.star.dimensions
            },
        }.get(table, ())
        by_table = {record.packet.table: record for record in self.records}
        found = [by_table[name] for name in feeding if name in by_table]
        return found[0] if found else self.records[-1]


async def put_once(lake: OutputLake, key: str, written: ParquetFile) -> None:
    """Create an object; one that is there already must be the same.

    Raises:
        ObjectDiffers: it is not.
    """
    if not await lake.exists(key):
        await lake.upload(written.path, key)
        return
    standing = written.path.with_suffix(".standing")
    await lake.download(key, standing)
    digest = await asyncio.to_thread(sha256_of, standing)
    standing.unlink()
    if digest != written.sha256:
        raise ObjectDiffers(f"{key} exists and holds something else; nothing was overwritten")

"""Tables of a star schema on their way out: Parquet under names that tell table and packet."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import polars as pl

from contracts import Dataset, LoadTable, S3Object, clean_prefix
from contracts.packet_record import PacketRecord
from contracts.star_schema import StarSchema
from services.processor.download import ReadableLake
from services.processor.load_order import load_id
from services.processor.parquet import write_parquet
from services.processor.type_registry import VersionedStore
from shared.errors import PermanentError


class ObjectDiffers(PermanentError):
    """An object of this name exists and holds something else."""


class OutputLake(ReadableLake, VersionedStore, Protocol):
    """The lake as outputs need it."""

    bucket: str


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

    @property
    def prefix(self) -> str:
        """The folder of this run's tables."""
        return clean_prefix(self.dataset.name, "all", self.run_id)

    @property
    def token(self) -> str:
        """What tells this attempt's objects from any other's."""
        return f"{self.run_id}-{self.moment:%Y%m%dT%H%M%S%fZ}"

    async def write(self, table: str, frame: pl.DataFrame) -> LoadTable:
        """Store one table and return the order to load it.

        Raises:
            ObjectDiffers: an object of this name holds something else.
        """
        rule = self.dataset.rule_of(table)
        record = self._cause(table)
        name = f"{table}_{record.packet.id}_processed_{self.moment:%Y%m%dT%H%M%S%fZ}.parquet"
        written = await asyncio.to_thread(
            write_parquet,
            frame,
            self.folder / name,
            descriptions={},
            about={"dataset": self.dataset.name, "table": table, "key": list(rule.key)},
        )
        await put_once(self.lake, self.prefix + name, written.path)
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
            rows=frame.height,
            schema_fingerprint=written.fingerprint,
            content_digest=written.sha256,
            manifest_key=record.manifest_key,
            as_of=self.moment,
            database=self.dataset.database,
        )

    async def quarantine(self, record: PacketRecord, misfits: pl.DataFrame) -> None:
        """Store a packet's rows that did not fit; nothing when all did."""
        if not misfits.height:
            return
        name = f"{record.packet.table}_{record.packet.id}.parquet"
        written = await asyncio.to_thread(
            write_parquet,
            misfits,
            self.folder / name,
            descriptions={},
            about={"dataset": self.dataset.name, "table": record.packet.table},
        )
        await put_once(self.lake, f"{self.prefix}_quarantine/{name}", written.path)

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


async def put_once(lake: VersionedStore, key: str, path: Path) -> None:
    """Create an object; one that is there already must be the same.

    Raises:
        ObjectDiffers: it is not.
    """
    data = await asyncio.to_thread(path.read_bytes)
    if await lake.put_if(key, data, None):
        return
    standing = await lake.get_with_etag(key)
    if standing is None or hashlib.sha256(standing[0]).digest() != hashlib.sha256(data).digest():
        raise ObjectDiffers(f"{key} exists and holds something else; nothing was overwritten")

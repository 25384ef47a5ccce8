"""A packet's rows that did not fit, on disk from the start: all of its rows may be such."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from contracts.packet_record import PacketRecord
from contracts.star_schema import StarSchema
from services.processor.parquet import ParquetFile, ParquetParts
from services.processor.star_cells import PacketRows, known_values, read_parts
from services.processor.star_tables import source_named


@dataclass
class Misfits:
    """Rows that are kept out, in a Parquet file that grows; the first is remembered."""

    path: Path
    record: PacketRecord
    rows: int = 0
    first: dict[str, Any] = field(default_factory=dict)
    _parts: ParquetParts | None = None

    def add(self, found: pl.DataFrame) -> None:
        """Append rows, if any."""
        if not found.height:
            return
        if self._parts is None:
            about = {"dataset": self.record.dataset, "table": self.record.packet.table}
            self._parts = ParquetParts(self.path, about)
            self.first = found.row(0, named=True)
        self._parts.add(found)
        self.rows += found.height

    def close(self) -> ParquetFile | None:
        """Finish the file; None when every row fitted."""
        return self._parts.close() if self._parts else None

    def warning(self) -> str:
        """Say how many there are, and what is wrong with the first."""
        packet = self.record.packet
        return (
            f"{packet.table}: {self.rows} rows of packet {packet.id} do not fit, the first is row "
            f"{self.first['row_number']}: {self.first['reason']}"
        )


@dataclass(frozen=True)
class Taken:
    """A packet being read; what did not fit is kept as the parts pass by."""

    record: PacketRecord
    star: StarSchema
    path: Path
    misfits: Misfits

    @classmethod
    def of(cls, record: PacketRecord, star: StarSchema, path: Path) -> "Taken":
        """Prepare to read a packet; its misfits go beside its file."""
        return cls(record, star, path, Misfits(path.with_suffix(".misfits.parquet"), record))

    def parts(self) -> Iterator[PacketRows]:
        """Read the packet once, part by part."""
        packet = self.record.packet
        source = source_named(self.star, packet.table)
        for part in read_parts(self.path, source, packet.id, known_values(self.star, packet.table)):
            self.misfits.add(part.misfits)
            yield part

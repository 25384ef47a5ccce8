"""The star schema's state in the lake: immutable tables, and one head that names them."""

import asyncio
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl
from pydantic import AwareDatetime, Field, ValidationError

from contracts import Packet
from contracts.model import Contract
from contracts.star_schema import StarSchema
from services.processor.star_state import StarState
from services.processor.type_registry import VersionedStore
from shared.errors import SchemaMismatch

# A run older than this many others is not asked about any more.
_RUNS_REMEMBERED = 500


class Applied(Contract):
    """Which packets of a source table are in the state: all up to `through`, and some beyond."""

    through: int = 0
    beyond: tuple[int, ...] = ()

    def has(self, packet_id: int) -> bool:
        """Say whether a packet is in."""
        return packet_id <= self.through or packet_id in self.beyond

    def plus(self, packet_id: int) -> "Applied":
        """Return this with one packet more."""
        beyond = {*self.beyond, packet_id}
        through = self.through
        while through + 1 in beyond:
            through += 1
            beyond.remove(through)
        return Applied(through=through, beyond=tuple(sorted(beyond)))


class Head(Contract):
    """One version of the state.

    `outboxes` names where each recent run's loads are listed, `unsent` those runs whose loads are
    not known to be on their queue.
    """

    version: int = 0
    as_of: AwareDatetime | None = None
    frames: dict[str, str] = Field(default_factory=dict, description="Key of each table's rows.")
    serials: dict[str, int] = Field(default_factory=dict)
    span: tuple[date, date] | None = None
    applied: dict[str, Applied] = Field(default_factory=dict)
    outboxes: dict[str, str] = Field(default_factory=dict)
    unsent: tuple[str, ...] = ()

    def has(self, packet: Packet) -> bool:
        """Say whether a packet is in this state."""
        return self.applied.get(packet.table, Applied()).has(packet.id)

    def with_run(self, run_id: str, outbox: str) -> Mapping[str, object]:
        """Return the fields that remember a run's loads."""
        kept = dict(list({**self.outboxes, run_id: outbox}.items())[-_RUNS_REMEMBERED:])
        return {"outboxes": kept, "unsent": (*self.unsent, run_id)}


@dataclass(frozen=True)
class StarStore:
    """Reads and moves on one dataset's state."""

    dataset: str
    star: StarSchema
    lake: VersionedStore

    @property
    def head_key(self) -> str:
        """Where the head lies."""
        return f"registry/{self.dataset}/star.json"

    async def head(self) -> tuple[Head, str | None]:
        """Read the newest head and its tag.

        Raises:
            SchemaMismatch: what lies there is no head.
        """
        found = await self.lake.get_with_etag(self.head_key)
        if found is None:
            return Head(), None
        try:
            return Head.model_validate_json(found[0]), found[1]
        except ValidationError as error:
            raise SchemaMismatch(
                f"{self.head_key} is not a star schema's state: {error}"
            ) from error

    async def state(self, head: Head) -> StarState:
        """Read all rows of a version."""
        empty = StarState.empty(self.star)
        rows = {name: await self._read(key) for name, key in head.frames.items()}
        return StarState(
            # Selected: states of before 2026-11-21 held whole rows of every table.
            latest={
                name: rows.get(name, frame).select(frame.columns)
                for name, frame in empty.latest.items()
            },
            waiting={name: rows.get(name, frame) for name, frame in empty.waiting.items()},
            serials=head.serials,
            span=head.span,
        )

    async def write(
        self, before: StarState, head: Head, after: StarState, attempt: str
    ) -> dict[str, str]:
        """Store the tables that changed under keys of this attempt; return the keys of all."""
        old = {**before.latest, **before.waiting}
        keys = dict(head.frames)
        for name, frame in {**after.latest, **after.waiting}.items():
            if name not in keys or not frame.equals(old[name]):
                keys[name] = (
                    f"registry/{self.dataset}/star/{head.version + 1}-{attempt}/{name}.parquet"
                )
                data = await asyncio.to_thread(_to_parquet, frame)
                await self.lake.put_if(keys[name], data, None)
        return keys

    async def replace(self, head: Head, etag: str | None) -> bool:
        """Make this the head, unless another processor has moved on."""
        return await self.lake.put_if(self.head_key, head.model_dump_json(indent=1).encode(), etag)

    async def _read(self, key: str) -> pl.DataFrame:
        found = await self.lake.get_with_etag(key)
        if found is None:
            raise SchemaMismatch(f"{self.head_key} names {key}, which is gone")
        return await asyncio.to_thread(pl.read_parquet, io.BytesIO(found[0]))


def _to_parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=1)
    return buffer.getvalue()

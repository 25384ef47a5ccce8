"""The books about packets: records in the lake decide, counters in SSM follow."""

from dataclasses import dataclass
from typing import Protocol

from contracts import Packet
from contracts.packet_record import PacketRecord, packet_record_key


class Records(Protocol):
    """The part of the lake that keeps records."""

    async def get(self, key: str) -> bytes:
        """Read one object."""
        ...

    async def get_with_etag(self, key: str) -> tuple[bytes, str] | None:
        """Read an object and its version; None if there is none."""
        ...

    async def put_if(self, key: str, data: bytes, etag: str | None) -> bool:
        """Write over version `etag`, with None only a new key; say whether it was written."""
        ...


class Counters(Protocol):
    """The last packet id of each table."""

    async def last_packet(self, table: str) -> int:
        """Return the last id, 0 for none."""
        ...

    async def set_last_packet(self, table: str, packet_id: int) -> None:
        """Move on by one."""
        ...


@dataclass(frozen=True)
class PacketBooks:
    """The books of one dataset."""

    dataset: str
    records: Records
    counters: Counters

    async def latest(self, table: str) -> PacketRecord | None:
        """Return the table's last packet, whether or not its counter says so already.

        A run that died after it wrote the record left the counter behind; here it catches up.
        """
        last = await self.counters.last_packet(table)
        found = await self._record(Packet(table=table, id=last)) if last else None
        while (following := await self._record(Packet(table=table, id=last + 1))) is not None:
            await self.counters.set_last_packet(table, last + 1)
            found, last = following, last + 1
        return found

    async def claim(self, record: PacketRecord) -> bool:
        """Make this the packet of its id; False when the id is another one's. Safe to repeat."""
        data = record.model_dump_json(indent=1).encode()
        if not await self.records.put_if(record.record_key, data, None):
            standing = await self.records.get(record.record_key)
            if PacketRecord.model_validate_json(standing) != record:
                return False
        table, packet_id = record.packet.table, record.packet.id
        if await self.counters.last_packet(table) == packet_id - 1:
            await self.counters.set_last_packet(table, packet_id)
        return True

    async def _record(self, packet: Packet) -> PacketRecord | None:
        found = await self.records.get_with_etag(packet_record_key(self.dataset, packet))
        return None if found is None else PacketRecord.model_validate_json(found[0])

"""What the lake remembers of each packet: created once, so that no id is given twice."""

from pydantic import AwareDatetime, Field

from contracts.messages import DatasetName, Packet, Sha256
from contracts.model import Contract


class Watermark(Contract):
    """What a PostgreSQL source had delivered up to a packet, in its own transaction ids.

    All rows written by transactions before `oldest_running`, and of later ones those that had
    committed: `delivered`, as ranges with both ends included. Ids are 64 bits, epoch included.
    """

    database_oid: int
    oldest_running: int
    delivered: tuple[tuple[int, int], ...] = ()


class PacketRecord(Contract):
    """One packet: where it lies, which run made it, and from where the next one goes on."""

    dataset: DatasetName
    packet: Packet
    run_id: str
    key: str = Field(description="Key of the JSON Lines in the lake.")
    bytes: int = Field(ge=0)
    sha256: Sha256
    rows: int = Field(ge=1)
    collected_at: AwareDatetime
    manifest_key: str
    watermark: Watermark

    @property
    def record_key(self) -> str:
        """Where this record lies, once and for all."""
        return packet_record_key(self.dataset, self.packet)


def packet_record_key(dataset: str, packet: Packet) -> str:
    """Return where the record of a packet lies."""
    return f"packets/{dataset}/{packet.table}/{packet.id}.json"

"""What the lake remembers of each packet: created once, so that no id is given twice."""

from pydantic import AwareDatetime, Field

from contracts.messages import DatasetName, Packet, Sha256
from contracts.model import Contract


class Watermark(Contract):
    """What a PostgreSQL source had delivered up to a packet, in its own transaction ids.

    All rows written by transactions before `oldest_running`, and of later ones those that had
    committed: `delivered`, as ranges with both ends included. Ids are 64 bits, epoch included.
    """

    database_oid: int = Field(description="Which database counts.", examples=[16384])
    oldest_running: int = Field(description="First id not known to be over.", examples=[812])
    delivered: tuple[tuple[int, int], ...] = Field(
        default=(), description="Later ids that were over, as ranges.", examples=[[[815, 820]]]
    )


class PacketRecord(Contract):
    """One packet: where it lies, which run made it, and from where the next one goes on."""

    dataset: DatasetName = Field(description="Which declaration.", examples=["totesys"])
    packet: Packet = Field(description="Source table and number, from 1 on without a gap.")
    run_id: str = Field(description="The run that made it.", examples=["20261121-100736-835e"])
    key: str = Field(
        description="Key of the JSON Lines in the lake.",
        examples=["raw/totesys/all/20261121-100736-835e/staff_1_20261121T100738Z.jsonl"],
    )
    bytes: int = Field(ge=0, description="Size of the JSON Lines.", examples=[4511])
    sha256: Sha256 = Field(description="Their digest.", examples=["0" * 64])
    rows: int = Field(ge=1, description="Lines.", examples=[20])
    collected_at: AwareDatetime = Field(
        description="When the source was read.", examples=["2026-11-21T10:07:38Z"]
    )
    manifest_key: str = Field(
        description="The manifest of its folder.",
        examples=["raw/totesys/all/20261121-100736-835e/_manifest.json"],
    )
    watermark: Watermark = Field(description="From where the next packet goes on.")

    @property
    def record_key(self) -> str:
        """Where this record lies, once and for all."""
        return packet_record_key(self.dataset, self.packet)


def packet_record_key(dataset: str, packet: Packet) -> str:
    """Return where the record of a packet lies."""
    return f"packets/{dataset}/{packet.table}/{packet.id}.json"

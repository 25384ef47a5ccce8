"""Who sends what to whom: the order of deployment and the published documents follow from it."""

from dataclasses import dataclass
from typing import Literal

from contracts.manifest import Manifest
from contracts.messages import (
    CollectFolder,
    FolderComplete,
    GenerateRequest,
    LoadComplete,
    LoadTable,
    Payload,
)
from contracts.model import Contract
from contracts.packet_record import PacketRecord
from contracts.packet_request import ProcessPackets
from contracts.status import StepRecord

Service = Literal["generator", "collector", "processor", "loader"]
Party = Literal["rest", "schedule", "operator"] | Service
Via = Literal["queue", "fifo_queue", "bus"]


@dataclass(frozen=True)
class Channel:
    """The way of one message type.

    `queue_of` is the service whose queue it ends in; None: it stays on the bus, where anyone may
    subscribe. `via` is what the sender hands it to; a rule takes events from the bus to the queue.
    """

    payload: type[Payload]
    senders: tuple[Party, ...]
    queue_of: Service | None
    via: Via
    bare: bool = False

    @property
    def event(self) -> bool:
        """Whether readers unknown to the sender may listen."""
        return self.via == "bus"


@dataclass(frozen=True)
class StoredDocument:
    """A contract that lies in a store instead of travelling; it stays readable for years."""

    model: type[Contract]
    place: str
    writers: tuple[Party, ...]
    readers: tuple[Party, ...]

    @property
    def version(self) -> int:
        """A stored document carries no version, so it has one for ever."""
        return 1


CHANNELS: tuple[Channel, ...] = (
    Channel(
        GenerateRequest,
        senders=("rest", "schedule", "operator"),
        queue_of="generator",
        via="queue",
        bare=True,
    ),
    Channel(CollectFolder, senders=("generator",), queue_of="collector", via="queue"),
    Channel(FolderComplete, senders=("collector",), queue_of="processor", via="bus"),
    Channel(ProcessPackets, senders=("operator",), queue_of="processor", via="queue", bare=True),
    Channel(LoadTable, senders=("processor",), queue_of="loader", via="fifo_queue"),
    Channel(LoadComplete, senders=("loader",), queue_of=None, via="bus"),
)

STORED_DOCUMENTS: tuple[StoredDocument, ...] = (
    StoredDocument(
        Manifest,
        place="the lake, beside the files of its folder",
        writers=("collector",),
        readers=("processor", "loader"),
    ),
    StoredDocument(
        StepRecord,
        place="the runs table",
        writers=("generator", "collector", "processor", "loader"),
        readers=("rest", "operator"),
    ),
    StoredDocument(
        PacketRecord,
        place="the lake, one per packet",
        writers=("collector",),
        readers=("collector", "processor"),
    ),
)

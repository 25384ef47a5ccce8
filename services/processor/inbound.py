"""What the processor's queue brings: the event of a complete folder, or a request for packets."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from contracts import Envelope, FolderComplete, open_envelope, open_request
from contracts.datasets import UnknownDataset, dataset_named
from contracts.packet_request import ProcessPackets
from shared.consumer import Done
from shared.errors import InvalidRequest

Handle = Callable[[Envelope[Any]], Awaitable[Done]]


def open_inbound(body: str, *, message_id: str) -> Envelope[Any]:
    """Parse either message; `{"packets": [...]}` may come bare.

    Raises:
        InvalidMessage: it is neither.
    """
    if _asks_for_packets(body):
        return open_request(body, ProcessPackets, message_id=message_id)
    return open_envelope(body, FolderComplete)


def _asks_for_packets(body: str) -> bool:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return False
    if not isinstance(document, dict):
        return False
    return document.get("type") == ProcessPackets.type or (
        "payload" not in document and "packets" in document
    )


def by_format(folders: Handle, packets: Handle) -> Handle:
    """Return a use case that hands a message on by the format of its dataset."""

    async def handle(envelope: Envelope[Any]) -> Done:
        try:
            dataset = dataset_named(envelope.payload.dataset)
        except UnknownDataset as error:
            raise InvalidRequest(str(error)) from error
        if dataset.format == "star_schema" or isinstance(envelope.payload, ProcessPackets):
            return await packets(envelope)
        return await folders(envelope)

    return handle

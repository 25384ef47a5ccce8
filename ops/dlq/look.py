"""Looking without losing: each message is received once and given back."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from ops.dlq.message import Origin
from ops.dlq.queues import DeadLetterQueues
from ops.dlq.store import Look, Snapshots

# Long enough to receive a queue of thousands; what a killed look held returns after it.
_HOLD_SECONDS = 120


async def look_into(
    origins: Sequence[Origin],
    *,
    queues: DeadLetterQueues,
    snapshots: Snapshots,
    newer_than: datetime | None = None,
) -> list[Look]:
    """Store what is parked now, side by side for all queues.

    A queue already looked into after `newer_than` is not received from again, so that looking
    often does not drive the receive counts up.
    """

    async def one(origin: Origin) -> Look:
        last = snapshots.look(origin.queue)
        if last is not None and newer_than is not None and last.at >= newer_than:
            return last
        return await _look(origin, queues, snapshots)

    return list(await asyncio.gather(*(one(origin) for origin in origins)))


async def _look(origin: Origin, queues: DeadLetterQueues, snapshots: Snapshots) -> Look:
    depth = await queues.depth(origin.queue)
    at = datetime.now(UTC)
    held = []
    if depth.waiting:
        held = await queues.hold(origin, seconds=_HOLD_SECONDS)
        await queues.release(origin.queue, [one.receipt for one in held])
    look = Look(
        queue=origin.queue,
        at=at,
        depth=max(depth.waiting, len(held)),
        seen=len(held),
        in_flight=depth.in_flight,
    )
    snapshots.save(look, [one.message for one in held])
    return look

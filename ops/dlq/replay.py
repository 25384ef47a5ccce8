"""Carrying out a replay or purge: safe elsewhere first, then deleted, every step in the journal.

A process killed at any point leaves each message in its dead-letter queue, in its target, or in
both; taking the action up again ends with it in the target alone. What may have been sent is sent
again with the same replay id: a FIFO queue drops the copy within five minutes, and the service
drops it whenever it comes, because only the first message with a replay id counts
(`shared.run_log.RunLog.claim`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic

from ops.dlq.journal import OPEN, Item, ItemState, Journal, Tally
from ops.dlq.message import Origin
from ops.dlq.queues import DeadLetterQueues

_BATCH = 10
_LONGEST_HOLD_SECONDS = 43_200


@dataclass
class Pace:
    """Keeps sends at or below `per_second`, counted from the first."""

    per_second: float
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = monotonic
    _next: float = field(default=0.0, init=False)

    async def wait(self, count: int) -> None:
        """Return when `count` more messages may be sent."""
        now = self.clock()
        if self._next > now:
            await self.sleep(self._next - now)
        self._next = max(self._next, now) + count / self.per_second


@dataclass(frozen=True)
class Execution:
    """One action under way: where from, how fast, who is told of progress.

    `lease_seconds` is time enough for one send, one journal entry and one delete.
    """

    action_id: str
    journal: Journal
    queues: DeadLetterQueues
    pace: Pace
    progress: Callable[[Tally], None] = lambda _: None
    lease_seconds: int = 120

    async def run(self, origins: Sequence[Origin]) -> Tally:
        """Work through every open item and say what became of all of them.

        Items that cannot be received now (someone else holds them) stay open for a later run.
        """
        for origin in origins:
            while self._open(origin) and await self._round(origin):
                pass
        tally = self.journal.tally(self.action_id)
        if not tally.open:
            self.journal.finish(self.action_id)
        return tally

    def _open(self, origin: Origin) -> list[Item]:
        items = self.journal.items(self.action_id, queue=origin.queue)
        return [item for item in items if item.state in OPEN]

    async def _round(self, origin: Origin) -> bool:
        """Hold what can be held and finish it; returns whether anything moved.

        More than one round is needed where SQS shows only the first ten of a FIFO group.
        """
        before = len(self._open(origin))
        nobody_else = await self._hold(origin)
        workable: list[Item] = []
        for item in self._open(origin):
            if item.receipt is not None or item.archived:
                workable.append(item)
            elif nobody_else:
                # What was about to be sent may not have been: sending again loses nothing.
                if item.state == "sending":
                    workable.append(item)
                elif item.state == "sent":
                    self._mark([item], "done")
                else:
                    self._mark([item], "gone", reason="no longer in the queue")
        # A slow pace goes with small batches, so that none waits longer than its lease.
        size = max(1, min(_BATCH, int(self.pace.per_second)))
        for batch in _batches(workable, size):
            await self._finish(origin, batch)
        return len(self._open(origin)) < before

    async def _hold(self, origin: Origin) -> bool:
        """Give every open item that is in the queue a receipt that holds it.

        Returns whether no one but us can be holding those that got none.
        """
        items = self._open(origin)
        kept = await self._extend(origin.queue, [item.receipt for item in items if item.receipt])
        missing = {item.message_id: item for item in items if item.receipt not in kept}
        receipts: dict[int, str | None] = {item.position: None for item in missing.values()}
        strangers: list[str] = []
        if missing:
            seconds = min(
                _LONGEST_HOLD_SECONDS, self.lease_seconds + int(len(items) / self.pace.per_second)
            )
            held = await self.queues.hold(origin, seconds=seconds)
            for one in held:
                item = missing.get(one.message.message_id)
                if item is None:
                    strangers.append(one.receipt)
                else:
                    receipts[item.position] = one.receipt
            await self.queues.release(origin.queue, strangers)
        self.journal.hold(self.action_id, receipts)
        if all(receipt is not None for receipt in receipts.values()):
            return True
        depth = await self.queues.depth(origin.queue)
        ours = len(kept) + sum(receipt is not None for receipt in receipts.values())
        return depth.in_flight <= ours and depth.waiting <= len(strangers)

    async def _finish(self, origin: Origin, batch: list[Item]) -> None:
        await self.pace.wait(sum(item.state != "sent" for item in batch))
        receipts = [item.receipt for item in batch if item.receipt]
        kept = await self._extend(origin.queue, receipts)
        lost = [item for item in batch if item.receipt and item.receipt not in kept]
        self.journal.hold(self.action_id, {item.position: None for item in lost})
        batch = [item for item in batch if item not in lost]
        unsent = [item for item in batch if item.state != "sent"]
        refused = await self._send(origin, unsent) if unsent else set()
        sent = [item for item in batch if item.position not in refused]
        left = await self.queues.delete(
            origin.queue, [item.receipt for item in sent if item.receipt]
        )
        self._mark([item for item in sent if item.receipt not in left], "done")

    async def _send(self, origin: Origin, items: list[Item]) -> set[int]:
        """Send and journal; returns the positions that were refused."""
        if origin.fifo:
            blocked = self._blocked_groups()
            held_back = [item for item in items if item.order_group in blocked]
            await self._give_up(origin, held_back, "held_back", "an earlier one was refused")
            items = [item for item in items if item not in held_back]
            skipped = {item.position for item in held_back}
        else:
            skipped = set()
        if not items:
            return skipped
        self._mark(items, "sending")
        result = await self.queues.send(items[0].target, [item.outgoing for item in items])
        accepted = {items[at].position: new_id for at, new_id in result.accepted.items()}
        self._mark(
            [item for item in items if item.position in accepted], "sent", new_message_ids=accepted
        )
        for at, reason in result.refused.items():
            await self._give_up(origin, [items[at]], "refused", reason)
        return skipped | {items[at].position for at in result.refused}

    async def _give_up(
        self, origin: Origin, items: list[Item], state: ItemState, reason: str
    ) -> None:
        self._mark(items, state, reason=reason)
        await self.queues.release(origin.queue, [item.receipt for item in items if item.receipt])

    def _blocked_groups(self) -> set[str | None]:
        return {
            item.order_group
            for item in self.journal.items(self.action_id)
            if item.state in ("refused", "held_back")
        }

    async def _extend(self, queue: str, receipts: Sequence[str]) -> set[str]:
        if not receipts:
            return set()
        return await self.queues.extend(queue, receipts, seconds=self.lease_seconds)

    def _mark(
        self,
        items: Sequence[Item],
        state: ItemState,
        *,
        new_message_ids: dict[int, str] | None = None,
        reason: str | None = None,
    ) -> None:
        if items:
            self.journal.mark(
                self.action_id, items, state, new_message_ids=new_message_ids, reason=reason
            )
            self.progress(self.journal.tally(self.action_id))


def _batches(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """Cut into batches of `size` that have one target and no FIFO group twice.

    Two of a group in one batch could change places when the first of them fails and goes again.
    """
    batch: list[Item] = []
    for item in items:
        groups = {other.order_group for other in batch if other.outgoing.group is not None}
        full = len(batch) == size or (batch and batch[0].target != item.target)
        if full or item.order_group in groups:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch

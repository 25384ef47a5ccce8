"""SQS as the workbench sees it, in memory: leases, FIFO groups, deduplication, and sudden death."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

from infra.names import Names
from ops.dlq.message import Origin, ParkedMessage
from ops.dlq.queues import Depth, Held, MoveNotOffered, Outgoing, Sent

NAMES = Names("local")
GENERATOR = Origin(NAMES.dead_letter_queue("generator"), "generator", NAMES.queue("generator"))
COLLECTOR = Origin(NAMES.dead_letter_queue("collector"), "collector", NAMES.queue("collector"))
LOADER = Origin(NAMES.dead_letter_queue("loader"), "loader", NAMES.queue("loader"))
AT = datetime(2026, 11, 21, 1, tzinfo=UTC)


class Killed(BaseException):
    """What a kill -9 is to the code under test: nothing after it runs."""


@dataclass
class Stored:
    message: ParkedMessage
    receipt: str | None = None
    hidden: bool = False
    receives: int = 0


@dataclass
class FakeDeadLetters:
    """Queues by name. `die_at` is the step before (even) or after (odd) which the process dies."""

    stored: dict[str, list[Stored]] = field(default_factory=dict)
    sent: dict[str, list[Outgoing]] = field(default_factory=dict)
    refuse: set[str] = field(default_factory=set)
    fail_to_delete: int = 0
    die_at: int | None = None
    steps: int = 0
    _receipts: "count[int]" = field(default_factory=count)

    def put(self, *messages: ParkedMessage) -> None:
        for message in messages:
            self.stored.setdefault(message.queue, []).append(Stored(message))

    def ids(self, queue: str) -> list[str]:
        return [one.message.message_id for one in self.stored.get(queue, [])]

    def leases_run_out(self) -> None:
        for messages in self.stored.values():
            for one in messages:
                one.hidden = False

    async def origins(self) -> list[Origin]:
        return [GENERATOR, COLLECTOR, LOADER]

    async def depth(self, queue: str) -> Depth:
        messages = self.stored.get(queue, [])
        hidden = sum(one.hidden for one in messages)
        return Depth(len(messages) - hidden, hidden, 14 * 86_400, f"arn:{queue}")

    async def hold(self, origin: Origin, *, seconds: int) -> list[Held]:
        del seconds
        self._maybe_die()
        held = []
        taken: dict[str | None, int] = {}
        for one in self.stored.get(origin.queue, []):
            group = one.message.group
            locked = any(
                other.hidden and other.message.group == group for other in self.stored[origin.queue]
            )
            full = taken.get(group, 0) == 10
            if one.hidden or (origin.fifo and (full or (locked and group not in taken))):
                continue
            one.hidden, one.receipt = True, f"receipt-{next(self._receipts)}"
            one.receives += 1
            taken[group] = taken.get(group, 0) + 1
            held.append(Held(one.message, one.receipt))
        self._maybe_die()
        return held

    async def release(self, queue: str, receipts: Iterable[str]) -> None:
        self._maybe_die()
        for one in self._held(queue, receipts):
            one.hidden = False

    async def extend(self, queue: str, receipts: Sequence[str], *, seconds: int) -> set[str]:
        del seconds
        self._maybe_die()
        kept = self._held(queue, receipts)
        for one in kept:
            one.hidden = True
        return {one.receipt for one in kept if one.receipt}

    async def send(self, queue: str, messages: Sequence[Outgoing]) -> Sent:
        self._maybe_die()
        accepted, refused = {}, {}
        box = self.sent.setdefault(queue, [])
        for at, message in enumerate(messages):
            if message.body in self.refuse:
                refused[at] = "InvalidMessageContents: refused"
                continue
            known = {one.deduplication_id for one in box if one.deduplication_id}
            if message.deduplication_id not in known:
                box.append(message)
            accepted[at] = f"new-{len(box)}"
        self._maybe_die()
        return Sent(accepted, refused)

    async def delete(self, queue: str, receipts: Sequence[str]) -> set[str]:
        self._maybe_die()
        if self.fail_to_delete:
            self.fail_to_delete -= 1
            return set(receipts)
        gone = self._held(queue, receipts)
        self.stored[queue] = [one for one in self.stored.get(queue, []) if one not in gone]
        self._maybe_die()
        return set(receipts) - {one.receipt for one in gone}

    async def move(self, origin: Origin, *, per_second: int | None) -> str:
        raise MoveNotOffered(f"{origin.queue} is not moved, at {per_second} a second or otherwise")

    def _held(self, queue: str, receipts: Iterable[str]) -> list[Stored]:
        wanted = set(receipts)
        return [one for one in self.stored.get(queue, []) if one.receipt in wanted]

    def _maybe_die(self) -> None:
        self.steps += 1
        if self.die_at == self.steps:
            raise Killed


def parked(number: int, origin: Origin = COLLECTOR, **fields: object) -> ParkedMessage:
    """Make one parked message; `fields` replace what it has by default."""
    values: dict[str, object] = {
        "queue": origin.queue,
        "service": origin.service,
        "message_id": f"{number:04d}-{origin.service}",
        "body": f'{{"number": {number}}}',
        "sent_at": AT + timedelta(minutes=number),
        "expires_at": AT + timedelta(days=14, minutes=number),
        "receive_count": 1,
        "group": f"own-{number}" if origin.fifo else None,
        "sequence": f"{number:020d}" if origin.fifo else None,
        "attributes": {"error_type": "PageChanged", "reason": f"control {number} is gone"},
    }
    return ParkedMessage(**{**values, **fields})  # type: ignore[arg-type]  # tests name the fields

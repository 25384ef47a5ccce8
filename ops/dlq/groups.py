"""Failures of one kind, counted and laid out over time."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ops.dlq.message import ParkedMessage

_BARS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Group:
    """Messages whose errors have one fingerprint, service and dataset; never empty."""

    messages: tuple[ParkedMessage, ...]

    @property
    def kind(self) -> str:
        """The group's id, usable as a filter."""
        return self.messages[0].kind

    @property
    def example(self) -> ParkedMessage:
        """The newest of them."""
        return max(self.messages, key=lambda message: message.parked_at)

    @property
    def first(self) -> datetime:
        """When the first of them was parked."""
        return min(message.parked_at for message in self.messages)

    @property
    def last(self) -> datetime:
        """When the newest of them was parked."""
        return max(message.parked_at for message in self.messages)

    def counts(self, *, now: datetime, span: timedelta, buckets: int) -> list[int]:
        """Count messages per slice of the last `span`; older ones belong to the first slice."""
        counts = [0] * buckets
        for message in self.messages:
            slices_ago = (now - message.parked_at) // (span / buckets)
            counts[buckets - 1 - min(buckets - 1, max(0, slices_ago))] += 1
        return counts


def grouped(messages: Iterable[ParkedMessage]) -> list[Group]:
    """Group by error fingerprint, service and dataset, the largest group first."""
    found: dict[str, list[ParkedMessage]] = defaultdict(list)
    for message in messages:
        found[message.kind].append(message)
    groups = [Group(tuple(members)) for members in found.values()]
    return sorted(groups, key=lambda group: (-len(group.messages), group.kind))


def sparkline(counts: Sequence[int]) -> str:
    """Draw counts as one character each."""
    highest = max(counts, default=0) or 1
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // highest)] for count in counts)

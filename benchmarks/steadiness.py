"""Which measured times can be compared: those taken while the machine's cores were equally quick.

Where a host is shared, a core may take half as long again for the same sums a moment later. A floor
that met a quick core says nothing of a load that met a slow one.
"""

import os
import statistics
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

import numpy as np

_NUMBERS = 32_768
_ROUNDS = 60
_ALIKE = 1.2
_ENOUGH = 5


@dataclass(frozen=True)
class Timed:
    """Seconds of one act, and those of a fixed piece of work on each core before and after it."""

    seconds: float
    cores: tuple[float, ...]


@dataclass(frozen=True)
class Ratio:
    """The median of `pairs` ratios, out of so many `taken`."""

    median: float
    pairs: int
    taken: int


async def timed(act: Awaitable[object]) -> Timed:
    """Await `act` and take its time."""
    before = _cores()
    started = time.perf_counter()
    await act
    seconds = time.perf_counter() - started
    return Timed(seconds, (*before, *_cores()))


def ratio(these: Sequence[Timed], those: Sequence[Timed]) -> Ratio:
    """Compare acts of the same rounds: only where all cores were alike, unless that is too seldom.

    Acts of a second and more see quick and slow moments alike.
    """
    pairs = [*zip(these, those, strict=True)]
    steady = [(one, other) for one, other in pairs if _alike((*one.cores, *other.cores))]
    counted = steady if len(steady) >= _ENOUGH else pairs
    median = statistics.median(one.seconds / other.seconds for one, other in counted)
    return Ratio(median, len(counted), len(pairs))


def _alike(cores: Sequence[float]) -> bool:
    return max(cores) <= _ALIKE * min(cores)


def _cores() -> list[float]:
    """Seconds that each core takes for the same sums."""
    allowed = os.sched_getaffinity(0)
    try:
        return [_seconds_on(core) for core in sorted(allowed)]
    finally:
        os.sched_setaffinity(0, allowed)


def _seconds_on(core: int) -> float:
    os.sched_setaffinity(0, {core})
    # The first moves the thread.
    return min(_sums() for _ in range(2))


def _sums() -> float:
    numbers = np.arange(_NUMBERS)
    into = np.empty_like(numbers)
    started = time.perf_counter()
    for _ in range(_ROUNDS):
        np.multiply(numbers, numbers, out=into)
        np.add(numbers, into, out=into)
    return time.perf_counter() - started

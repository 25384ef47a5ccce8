"""Parts that a table may have already are read back and compared, byte for byte.

Where most rows did not change this takes a fraction of sending them: the server writes nothing,
and equal bytes are equal values.
"""

import asyncio
from collections.abc import Iterator, Sequence
from functools import cached_property

from services.loader.arrival import Target
from services.loader.binary_copy import FitPart
from services.loader.parquet import LINEAGE
from services.loader.pieces import KeyRange
from services.loader.postgres import Connection
from services.loader.sql import listed

# Types of keys whose range means the same here and there; text of some languages sorts otherwise,
# which is found out, not trusted.
_KEYS = frozenset({"smallint", "integer", "bigint", "date", "text"})
# After so many failures in a row the pauses grow no longer.
_MOST_FAILURES = 6


class ReadBack:
    """Comparisons during one load, fewer of them while they fail.

    A failure costs a reading for nothing: rows did change, the table has others between them, or
    equal values have other bytes here.
    """

    settings = ("enable_sort",)
    """Settings of the planner that are off from the first comparison on."""

    def __init__(
        self,
        connection: Connection,
        target: Target,
        columns: tuple[str, ...],
        ranges: Sequence[KeyRange],
    ) -> None:
        """Prepare; `columns` are the file's, in its order, `ranges` those of all its parts."""
        self.columns = tuple(name for name in columns if name not in LINEAGE)
        self._connection = connection
        self._target = target
        self._able = (
            set(self.columns) == {*target.key, *target.values}
            and all(target.types[name] in _KEYS for name in target.key)
            and not any(_has_other_bytes(target.types[name]) for name in self.columns)
        )
        self._ranges = ranges
        self._told = False
        self._failures = 0
        self._pause = 0

    @property
    def worthwhile(self) -> bool:
        """Whether the next part will be looked for."""
        return self._able and not self._pause

    async def finds(self, number: int, part: asyncio.Future[FitPart]) -> bool:
        """Say whether the table has exactly these rows between the part's first and last key.

        False, too, where this is not worth finding out. The server is asked before the `part` is
        there: it takes as long to read its rows as they take to be read from the file.
        """
        if not self.worthwhile:
            self._pause = max(0, self._pause - 1)
            return False
        if not self._told:
            await self._tell_ends()
        comparison: Comparison | None = None

        async def take(arrived: bytes) -> None:
            nonlocal comparison
            if comparison is None:
                await asyncio.wait([part])
                # Rows that do not fit are found nowhere; who waits for the part learns why.
                fit = part.exception() is None
                comparison = Comparison(part.result().binary(self.columns) if fit else iter(()))
            await comparison.take(arrived)

        # One row more than there should be tells as much as all of them.
        query = f"{self._between_ends(number)} LIMIT {self._ranges[number].rows + 1:d}"
        await self._connection.copy_from_query(query, output=take, format="binary")
        found = comparison is not None and comparison.same
        self._failures = 0 if found else min(self._failures + 1, _MOST_FAILURES)
        self._pause = 2**self._failures - 1
        return found

    async def _tell_ends(self) -> None:
        """Set what COPY, which takes no parameters, is to look up: the ends of all ranges."""
        told = [
            f"set_config('{name}', ${place}::{kind}[]::text, true)"
            for place, (name, kind) in enumerate(self._ends, 1)
        ]
        # The key's index has the order already; a planner without statistics sorts whole rows.
        told += [f"set_config('{setting}', 'off', true)" for setting in self.settings]
        ends = zip(*(one.ends for one in self._ranges), strict=True)
        await self._connection.execute(f"SELECT {', '.join(told)}", *ends)
        self._told = True

    @cached_property
    def _ends(self) -> list[tuple[str, str]]:
        """Names of settings, each of which holds one column of all ranges' ends, and its type."""
        kinds = 2 * [self._target.types[name] for name in self._target.key]
        return [(f"quarry.end{place}", kind) for place, kind in enumerate(kinds, 1)]

    def _between_ends(self, number: int) -> str:
        ends = [
            f"(current_setting('{name}')::{kind}[])[{number + 1:d}]" for name, kind in self._ends
        ]
        first, last = ends[: len(self._target.key)], ends[len(self._target.key) :]
        key = listed(self._target.key)
        return (
            f"SELECT {listed(self.columns)} FROM {self._target.table.sql}"  # noqa: S608  # quoted names
            f" WHERE ROW({key}) >= ROW({', '.join(first)}) AND ROW({key}) <= ROW({', '.join(last)})"
            f" ORDER BY {key}"
        )


class Comparison:
    """Of what arrives with what was expected, each of which comes in parts of its own size.

    What is expected is encoded when it is due: meanwhile the server prepares what comes next. In a
    thread it would take turns with receiving, a few kilobytes at a time.
    """

    def __init__(self, expected: Iterator[bytes]) -> None:
        self._expected = expected
        self._part, self._at = b"", 0
        self._equal = True

    @property
    def same(self) -> bool:
        """Whether all that was expected has arrived and nothing else."""
        return self._equal and self._at == len(self._part) and next(self._expected, None) is None

    async def take(self, arrived: bytes) -> None:
        """Compare what comes next; after a difference nothing matters."""
        rest = memoryview(arrived)
        while rest and self._equal:
            if self._at == len(self._part):
                self._part, self._at = next(self._expected, b""), 0
            both = rest[: len(self._part) - self._at]
            # Of two bytes-likes this compares without a copy.
            self._equal = bool(both) and self._part.startswith(both, self._at)
            self._at += len(both)
            rest = rest[len(both) :]


def _has_other_bytes(kind: str) -> bool:
    """Whether the server sends values in another form than it was sent them."""
    return kind == "jsonb" or kind.endswith("[]")

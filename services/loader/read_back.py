"""Pieces that a table may have already are read back and compared, byte for byte.

Where most rows did not change this takes a fraction of sending them: the server writes nothing,
and equal bytes are equal values.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate

from services.loader.arrival import LINEAGE, Target
from services.loader.binary_copy import FitPiece
from services.loader.pieces import KeyRange
from services.loader.postgres import Connection
from services.loader.sql import listed
from shared.together import together

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
        """Prepare; `columns` are the file's, in its order, `ranges` those of all its pieces."""
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
        """Whether the next piece will be looked for."""
        return self._able and not self._pause

    async def finds(self, piece: FitPiece) -> bool:
        """Say whether the table has exactly these rows between the piece's first and last key.

        False, too, where this is not worth finding out.
        """
        if not self.worthwhile:
            self._pause = max(0, self._pause - 1)
            return False
        if not self._told:
            await self._tell_ends()
        # One row more than there should be tells as much as all of them.
        query = f"{self._between_ends(piece.number)} LIMIT {piece.rows + 1:d}"

        async def encode() -> list[bytes]:
            return [piece.binary(self.columns)]

        # Encoded once the server is at work, but not in a thread, which would take turns with
        # receiving a few kilobytes at a time.
        parts, [expected] = await together([self._pull(query), encode()])
        found = _same(parts, expected)
        self._failures = 0 if found else min(self._failures + 1, _MOST_FAILURES)
        self._pause = 2**self._failures - 1
        return found

    async def _pull(self, query: str) -> list[bytes]:
        parts: list[bytes] = []

        async def keep(part: bytes) -> None:
            parts.append(part)

        await self._connection.copy_from_query(query, output=keep, format="binary")
        return parts

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


def _same(parts: list[bytes], whole: bytes) -> bool:
    """Compare without putting the parts together, which takes as long as to receive them."""
    ends = list(accumulate(len(part) for part in parts))
    return ends[-1:] == [len(whole)] and all(
        whole.startswith(part, end - len(part)) for part, end in zip(parts, ends, strict=True)
    )


def _has_other_bytes(kind: str) -> bool:
    """Whether the server sends values in another form than it was sent them."""
    return kind == "jsonb" or kind.endswith("[]")

"""Pieces that a table may have already are read back and compared, byte for byte.

Where most rows did not change this takes a fraction of sending them: the server writes nothing,
and equal bytes are equal values.
"""

from services.loader.arrival import LINEAGE, Target
from services.loader.binary_copy import FitPiece
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

    def __init__(self, connection: Connection, target: Target, columns: tuple[str, ...]) -> None:
        """Prepare; `columns` are the file's, in its order."""
        self.columns = tuple(name for name in columns if name not in LINEAGE)
        self._connection = connection
        self._target = target
        self._able = (
            set(self.columns) == {*target.key, *target.values}
            and all(target.types[name] in _KEYS for name in target.key)
            and not any(_has_other_bytes(target.types[name]) for name in self.columns)
        )
        self._failures = 0
        self._pause = 0

    @property
    def worthwhile(self) -> bool:
        """Whether the next piece is to be looked for."""
        return self._able and not self._pause

    def pass_over(self) -> None:
        """Count a piece that was sent without being looked for."""
        self._pause = max(0, self._pause - 1)

    async def finds(self, piece: FitPiece) -> bool:
        """Say whether the table has exactly these rows between the piece's first and last key."""
        expected = piece.binary(self.columns)
        equal, compared = True, 0

        async def compare(part: bytes) -> None:
            nonlocal equal, compared
            equal = equal and expected.startswith(part, compared)
            compared += len(part)

        query = await self._query(piece)
        await self._connection.copy_from_query(query, output=compare, format="binary")
        found = equal and compared == len(expected)
        self._failures = 0 if found else min(self._failures + 1, _MOST_FAILURES)
        self._pause = 2**self._failures - 1
        return found

    async def _query(self, piece: FitPiece) -> str:
        target = self._target
        kinds = [target.types[name] for name in target.key]
        # COPY takes no parameters, so the server itself quotes the ends of the range.
        quoting = ", ".join(
            f"quote_literal(${place}::{kind}::text)" for place, kind in enumerate(2 * kinds, 1)
        )
        texts = await self._connection.fetchrow(f"SELECT {quoting}", *piece.ends(target.key))
        typed = [f"{text}::{kind}" for text, kind in zip(texts or (), 2 * kinds, strict=True)]
        first, last = ", ".join(typed[: len(kinds)]), ", ".join(typed[len(kinds) :])
        key = listed(target.key)
        return (
            f"SELECT {listed(self.columns)} FROM {target.table.sql}"  # noqa: S608  # quoted names
            f" WHERE ROW({key}) >= ROW({first}) AND ROW({key}) <= ROW({last}) ORDER BY {key}"
        )


def _has_other_bytes(kind: str) -> bool:
    """Whether the server sends values in another form than it was sent them."""
    return kind == "jsonb" or kind.endswith("[]")

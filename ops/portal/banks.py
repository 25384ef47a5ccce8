"""The made-up banks: the same in every quarter of one seed, growing at their own pace."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from contracts import Period

_START = Period(2001, 1)
_FIRST_SYLLABLES = ("Mar", "Tol", "Bren", "Har", "Wex", "Cal", "Dun", "Ost", "Pell", "Quin", "Sor")
_MIDDLE_SYLLABLES = ("row", "li", "de", "ing", "ber", "mo", "na", "the", "wick", "o", "sha")
_LAST_SYLLABLES = ("field", "ton", "dale", "ford", "haven", "mere", "port", "stead", "vale", "wood")
_KINDS = ("Bank", "State Bank", "Savings Bank", "Trust Company", "National Bank", "Bank & Trust")
_STATES = ("AL", "CA", "GA", "IA", "IL", "KS", "MN", "MO", "NE", "NY", "OH", "PA", "TX", "WI")
_LARGEST_WITH_FOREIGN_OFFICES = 0.016
_SHORT_FORM_BELOW = 1_000_000  # thousands of dollars; the 051 form exists since 2017


@dataclass(frozen=True)
class Banks:
    """`count` banks, ordered by id; arrays have one entry per bank."""

    seed: int
    count: int

    @cached_property
    def ids(self) -> np.ndarray:
        """IDRSSD, ascending, no duplicates."""
        steps = np.random.default_rng([self.seed, 1]).integers(1, 900, self.count)
        return 37 + np.cumsum(steps)

    @cached_property
    def size_2001(self) -> np.ndarray:
        """Total assets in 2001Q1, thousands of dollars: many small banks, a few giants."""
        generator = np.random.default_rng([self.seed, 2])
        return 30_000 * (1 + generator.pareto(0.9, self.count))

    @cached_property
    def names(self) -> list[str]:
        """Invented names, some with characters that break careless readers."""
        generator = np.random.default_rng([self.seed, 3])
        picks = generator.integers(0, 1_000_000, (self.count, 4))
        return [
            f"{_pick(_FIRST_SYLLABLES, a)}{_pick(_MIDDLE_SYLLABLES, b)}{_pick(_LAST_SYLLABLES, c)}"
            f" {_pick(_KINDS, d)}".upper()
            for a, b, c, d in picks
        ]

    @cached_property
    def states(self) -> list[str]:
        """Two letters, or `0 ` where the site has none."""
        picks = np.random.default_rng([self.seed, 4]).integers(0, 10_000, self.count)
        return ["0 " if pick < 8 else _pick(_STATES, pick) for pick in picks]  # noqa: PLR2004  # about one in a thousand

    @cached_property
    def foreign(self) -> np.ndarray:
        """True for banks with foreign offices: form 031, RCFD codes."""
        largest = max(1, round(self.count * _LARGEST_WITH_FOREIGN_OFFICES))
        limit = np.sort(self.size_2001)[-largest]
        result: np.ndarray = self.size_2001 >= limit
        return result

    def assets(self, period: Period) -> np.ndarray:
        """Total assets at the end of a quarter, thousands of dollars."""
        generator = np.random.default_rng([self.seed, 5])
        growth = generator.normal(0.008, 0.006, self.count)
        quarters = period.offset_from(_START)
        noise = np.random.default_rng([self.seed, 6, period.index]).normal(0, 0.01, self.count)
        # No bank of this world outgrows the largest real one: about 2.7e9 thousand dollars.
        grown = self.size_2001 * np.exp(growth * quarters + noise)
        result: np.ndarray = np.minimum(grown, 2.7e9 * np.exp(noise)).astype(np.int64)
        return result

    def forms(self, period: Period) -> list[str]:
        """Filing type: 031 with foreign offices, 051 for small banks since 2017, else 041."""
        short = (self.assets(period) < _SHORT_FORM_BELOW) & (period >= Period(2017, 1))
        return [
            "031" if abroad else "051" if brief else "041"
            for abroad, brief in zip(self.foreign, short, strict=True)
        ]


def _pick(choices: tuple[str, ...], number: int) -> str:
    return choices[int(number) % len(choices)]

"""The made-up banks: the same in every quarter of one seed, growing at their own pace."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from contracts import Period

# Total assets by rank among 7,085 banks on 2013-03-31, thousands of dollars, rounded: the shape
# of the real industry, a handful of giants above thousands of small banks.
_MEASURED = Period(2013, 1)
_MEASURED_BANKS = 7_085
_ASSETS_BY_RANK = {
    1: 1_950_000_000,
    4: 1_270_000_000,
    5: 346_000_000,
    10: 208_000_000,
    21: 96_000_000,
    41: 41_000_000,
    81: 14_700_000,
    161: 5_750_000,
    321: 2_280_000,
    641: 1_036_000,
    1_281: 527_000,
    2_561: 253_000,
    3_801: 150_000,
    5_001: 94_500,
    7_000: 10_000,
}
_LARGEST = 4_000_000_000
_LARGEST_WITH_FOREIGN_OFFICES = 0.016
_SHORT_FORM_BELOW = 1_000_000  # thousands of dollars; the 051 form exists since 2017
_SHORT_FORM_SINCE = Period(2017, 1)
_WITHOUT_STATE_OF_10_000 = 8

_TOWN_STARTS = ("Ash", "Bren", "Cal", "Dun", "Har", "Mar", "Ost", "Pell", "Quin", "Tol", "Wex")
_TOWN_MIDDLES = ("", "ber", "ders", "ing", "ler", "mon", "na", "ring", "row", "ter", "wick")
_TOWN_ENDS = ("dale", "field", "ford", "haven", "mere", "port", "stead", "ton", "vale", "wood")
_NAMES = (
    "{} STATE BANK",
    "BANK OF {}",
    "CITIZENS BANK OF {}",
    "FARMERS & MERCHANTS BANK",
    "FARMERS' AND MERCHANTS' BANK OF {}",
    "FIRST NATIONAL BANK OF {}",
    "FIRST STATE BANK",
    "PEOPLES BANK, {}",
    "{} COUNTY BANK",
    "{} SAVINGS BANK, SSB",
    "{} TRUST COMPANY",
)
_LARGE_NAMES = (
    "{} BANK, NATIONAL ASSOCIATION",
    "{} BANK USA, NATIONAL ASSOCIATION",
    "BANK OF {}, NATIONAL ASSOCIATION",
    "{} BANK AND TRUST COMPANY",
    "BANK OF {} MELLOR",
    "{} & COMPANY BANK",
)
_STATES = ("AL", "CA", "GA", "IA", "IL", "KS", "MN", "MO", "NE", "NY", "OH", "PA", "TX", "WI")
_LARGE_STATES = ("CA", "DE", "NC", "NY", "OH", "SD", "UT", "VA")


@dataclass(frozen=True)
class Banks:
    """`count` banks, ordered by id; arrays have one entry per bank."""

    seed: int
    count: int

    @cached_property
    def ids(self) -> np.ndarray:
        """IDRSSD, ascending, no duplicates."""
        return 37 + np.cumsum(self._random(1).integers(1, 900, self.count))

    @cached_property
    def certificates(self) -> np.ndarray:
        """FDIC certificate numbers, no duplicates."""
        numbers = self._random(7).permutation(np.arange(1, max(60_000, 2 * self.count)))
        return numbers[: self.count]

    @cached_property
    def towns(self) -> list[str]:
        """Where a bank has its head office; several may share a town."""
        return [
            f"{_pick(_TOWN_STARTS, a)}{_pick(_TOWN_MIDDLES, b)}{_pick(_TOWN_ENDS, c)}".upper()
            for a, b, c in self._random(3).integers(0, 1_000_000, (self.count, 3))
        ]

    @cached_property
    def names(self) -> list[str]:
        """Invented names, with commas and apostrophes as real ones have; small banks share some."""
        picks = self._random(8).integers(0, 1_000_000, self.count)
        return [
            _pick(_LARGE_NAMES if large else _NAMES, pick).format(town)
            for pick, town, large in zip(picks, self.towns, self.foreign, strict=True)
        ]

    @cached_property
    def states(self) -> list[str]:
        """Two letters, or `0 ` where the site has none."""
        return [
            _pick(_LARGE_STATES, pick)
            if large
            else "0 "
            if pick < _WITHOUT_STATE_OF_10_000
            else _pick(_STATES, pick)
            for pick, large in zip(
                self._random(4).integers(0, 10_000, self.count), self.foreign, strict=True
            )
        ]

    @cached_property
    def foreign(self) -> np.ndarray:
        """True for banks with foreign offices: form 031, RCFD codes."""
        largest = max(1, round(self.count * _LARGEST_WITH_FOREIGN_OFFICES))
        limit = np.sort(self._assets_2013)[-largest]
        result: np.ndarray = self._assets_2013 >= limit
        return result

    def assets(self, period: Period) -> np.ndarray:
        """Total assets at the end of a quarter, thousands of dollars."""
        growth = self._random(5).normal(0.0095, 0.004, self.count)
        quarters = period.offset_from(_MEASURED)
        noise = self._random(6, period.index).normal(0, 0.01, self.count)
        grown = self._assets_2013 * np.exp(growth * quarters + noise)
        result: np.ndarray = np.minimum(grown, _LARGEST * np.exp(noise)).astype(np.int64)
        return result

    def forms(self, period: Period) -> list[str]:
        """Filing type: 031 with foreign offices, 051 for small banks since 2017, else 041."""
        short = (self.assets(period) < _SHORT_FORM_BELOW) & (period >= _SHORT_FORM_SINCE)
        return [
            "031" if abroad else "051" if brief else "041"
            for abroad, brief in zip(self.foreign, short, strict=True)
        ]

    @cached_property
    def _assets_2013(self) -> np.ndarray:
        random = self._random(2)
        share = (random.permutation(self.count) + 0.5) / self.count
        known = (np.array(list(_ASSETS_BY_RANK)) - 0.5) / _MEASURED_BANKS
        sizes = np.array(list(_ASSETS_BY_RANK.values()), dtype=float)
        expected = np.exp(np.interp(np.log(share), np.log(known), np.log(sizes)))
        result: np.ndarray = expected * np.exp(random.normal(0, 0.05, self.count))
        return result

    def _random(self, *what: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *what])


def _pick(choices: tuple[str, ...], number: int) -> str:
    return choices[int(number) % len(choices)]

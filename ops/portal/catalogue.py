"""What the stand-in has on offer: zips of a folder, made-up quarters, or both."""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from contracts import Period
from ops.portal.quarters import MadeUpQuarters

_FIRST = Period(2001, 1)
_NAME = re.compile(r"FFIEC CDR Call Bulk All Schedules (03|06|09|12)\d{2}(\d{4})\.zip")


@dataclass
class Catalogue:
    """The zips of a folder go before made-up quarters, whose newest is `last`."""

    zips: Path | None = None
    made_up: MadeUpQuarters | None = None
    last: Period = _FIRST
    restatements: Counter[Period] = field(default_factory=Counter)

    def periods(self) -> list[Period]:
        """Return what can be chosen, newest first, as the page lists it."""
        found = set(self._files())
        if self.made_up is not None:
            found |= set(_FIRST.through(self.last))
        return sorted(found, reverse=True)

    def restate(self, period: Period) -> int | None:
        """Publish a made-up quarter again; return how often that was done, None if it is real."""
        if self.made_up is None or period in self._files():
            return None
        self.restatements[period] += 1
        return self.restatements[period]

    def archive(self, period: Period) -> Path:
        """Return the zip of a quarter."""
        files = self._files()
        if period in files:
            return files[period]
        if self.made_up is None:
            raise KeyError(period)
        return self.made_up.zip_of(period, restated=self.restatements[period])

    def _files(self) -> dict[Period, Path]:
        if self.zips is None:
            return {}
        found = {path: _NAME.fullmatch(path.name) for path in self.zips.iterdir()}
        return {
            Period(int(match[2]), int(match[1]) // 3): path
            for path, match in found.items()
            if match is not None
        }

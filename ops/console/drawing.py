"""Shapes for the pages: a run's timeline, a table's rows over time, a highlighted JSON body. Pure.

Positions are SVG attributes, because the page's security policy allows no inline style.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from contracts import StepRecord
from infra.names import SERVICES

WIDTH = 1000
_TOKENS = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<text>"(?:[^"\\]|\\.)*")'
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<word>\b(?:true|false|null)\b)"
)


@dataclass(frozen=True)
class Bar:
    """One step on the timeline; x and width of 1000."""

    step: StepRecord
    x: float
    width: float


@dataclass(frozen=True)
class Lane:
    """One line of the timeline: a stage of a folder, or all its loads together."""

    label: str
    stage: str
    bars: tuple[Bar, ...]


def timeline(steps: Sequence[StepRecord], now: datetime) -> tuple[list[Lane], float]:
    """Lay a run's steps out, one lane per stage and folder; also returns its length in seconds."""
    start = min(step.started_at for step in steps)
    end = max(step.finished_at or now for step in steps)
    length = max((end - start).total_seconds(), 0.001)
    lanes: dict[tuple[int, str], list[Bar]] = {}
    for step in steps:
        ended = step.finished_at or now
        x = (step.started_at - start).total_seconds() / length * WIDTH
        width = max(3.0, (ended - step.started_at).total_seconds() / length * WIDTH)
        folder = step.part.split("/", 1)[0]
        lanes.setdefault((SERVICES.index(step.stage), folder), []).append(
            Bar(step, round(min(x, WIDTH - width), 1), round(width, 1))
        )
    ordered = sorted(lanes.items(), key=lambda item: (item[0][1] != "all", item[0][1], item[0][0]))
    return (
        [Lane(folder, SERVICES[at], tuple(bars)) for (at, folder), bars in ordered],
        length,
    )


@dataclass(frozen=True)
class CommittedLoad:
    """A load that is in its table."""

    step: StepRecord

    @property
    def rows(self) -> int:
        """Rows of its file."""
        return self.step.counts.get("rows", 0)


def is_committed_load(step: StepRecord) -> bool:
    """Say whether a step is a load that is in its table: there are dozens in a folder."""
    return step.stage == "loader" and step.status == "done"


def committed_loads(steps: Sequence[StepRecord]) -> dict[str, list[CommittedLoad]]:
    """Sort the loads that are in their tables by folder."""
    found: dict[str, list[CommittedLoad]] = {}
    for step in filter(is_committed_load, steps):
        found.setdefault(step.part.split("/", 1)[0], []).append(CommittedLoad(step))
    return found


@dataclass(frozen=True)
class Growth:
    """Rows of a table after each of its loads, the first load first."""

    schema: str
    name: str
    moments: tuple[datetime, ...]
    rows: tuple[int, ...]

    def points(self, width: int = 240, height: int = 36) -> str:
        """Return the steps of the line as an SVG polyline, from nothing to now."""
        highest = max(self.rows, default=0) or 1
        first, last = self.moments[0], self.moments[-1]
        length = (last - first).total_seconds() or 1
        places = [(0.0, float(height))]
        for moment, rows in zip(self.moments, self.rows, strict=True):
            x = (moment - first).total_seconds() / length * (width - 4) + 2
            places.append((x, places[-1][1]))
            places.append((x, height - 2 - rows / highest * (height - 4)))
        places.append((float(width), places[-1][1]))
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def highlighted(text: str) -> Markup:
    """Return a body, pretty if it is JSON, with its tokens marked; all of it escaped."""
    try:
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return Markup.escape(text)
    out: list[Markup] = []
    at = 0
    for token in _TOKENS.finditer(text):
        out.append(Markup.escape(text[at : token.start()]))
        out.append(Markup('<span class="{}">{}</span>').format(f"j-{token.lastgroup}", token[0]))
        at = token.end()
    out.append(Markup.escape(text[at:]))
    return Markup("").join(out)

"""The heat map: in which state each quarter of each dataset is, and each run of others. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from contracts import Period, StepRecord
from ops.runs import Run, runs_of

_STRIP = 24
State = Literal["missing", "collecting", "partial", "loaded", "restated", "failed"]
GLYPHS: dict[State, str] = {
    "missing": "",
    "collecting": "↓",
    "partial": "◐",
    "loaded": "●",
    "restated": "↻",
    "failed": "✕",
}


@dataclass(frozen=True)
class Cell:
    """One quarter; `run_id` is the run that last touched it."""

    period: Period
    state: State
    run_id: str | None = None
    loaded: int = 0
    expected: int = 0

    @property
    def glyph(self) -> str:
        """A sign for the state, so that colour is not the only one."""
        return GLYPHS[self.state]


@dataclass(frozen=True)
class HeatMap:
    """One dataset: a row per quarter of the year (four), a column per year."""

    dataset: str
    years: tuple[int, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Strip:
    """The latest runs of a dataset without quarters, the oldest first; each with its state."""

    dataset: str
    runs: tuple[tuple[Run, State | Literal["same"]], ...]


def strips(steps: Sequence[StepRecord]) -> list[Strip]:
    """Lay out the datasets the run log knows no quarters of."""
    quarterly = {heat.dataset for heat in heat_maps(steps, Period(1, 1))}
    by_dataset: dict[str, list[Run]] = defaultdict(list)
    for run in runs_of([step for step in steps if step.dataset not in quarterly]):
        by_dataset[run.dataset].append(run)
    return [
        Strip(dataset, tuple((run, _run_state(run)) for run in reversed(runs[:_STRIP])))
        for dataset, runs in sorted(by_dataset.items())
    ]


def _run_state(run: Run) -> State | Literal["same"]:
    if run.progress.state == "parked":
        return "failed"
    if run.progress.state != "finished":
        return "collecting"
    return "loaded" if run.rows else "same"


def heat_maps(steps: Sequence[StepRecord], today: Period) -> list[HeatMap]:
    """Lay out every dataset the run log knows quarters of, from its first year to today's."""
    by_quarter: dict[str, dict[Period, list[StepRecord]]] = defaultdict(lambda: defaultdict(list))
    for step in steps:
        period = _period(step.part)
        if period is not None:
            by_quarter[step.dataset][period].append(step)
        for part in step.expects if step.stage == "generator" else ():
            expected = _period(part)
            if expected is not None:
                by_quarter[step.dataset][expected].append(step)
    return [_heat_map(dataset, quarters, today) for dataset, quarters in sorted(by_quarter.items())]


def _heat_map(dataset: str, quarters: dict[Period, list[StepRecord]], today: Period) -> HeatMap:
    years = tuple(range(min(quarters).year, max(today, *quarters).year + 1))
    rows = tuple(
        tuple(
            _cell(Period(year, quarter), quarters.get(Period(year, quarter), [])) for year in years
        )
        for quarter in range(1, 5)
    )
    return HeatMap(dataset, years, rows)


def _cell(period: Period, steps: list[StepRecord]) -> Cell:
    if not steps:
        return Cell(period, "missing")
    run_id = max(steps, key=lambda step: step.started_at).run_id
    own = [step for step in steps if step.run_id == run_id and _period(step.part) == period]
    expected = {
        part for step in own if step.stage == "processor" and step.status == "done"
        for part in step.expects
    }  # fmt: skip
    loads = [step for step in own if step.stage == "loader" and step.status == "done"]
    done = {step.part for step in loads}
    state: State = "collecting"
    if any(step.status == "parked" for step in own):
        state = "failed"
    elif expected and done >= expected:
        before = {
            step.run_id
            for step in steps
            if step.stage == "loader" and step.outcome == "loaded" and step.run_id != run_id
        }
        changed = any(step.outcome == "loaded" for step in loads)
        state = "restated" if before and changed else "loaded"
    elif done:
        state = "partial"
    return Cell(period, state, run_id, len(done), len(expected))


def _period(part: str) -> Period | None:
    try:
        return Period.parse(part.split("/", 1)[0])
    except ValueError:
        return None

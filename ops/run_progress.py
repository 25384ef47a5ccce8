"""How far a run is, folded from its step records. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from contracts import Stage, StepRecord

RunState = Literal["waiting", "running", "finished", "parked"]
StageState = Literal["waiting", "working", "retrying", "done", "parked"]


@dataclass(frozen=True)
class Parked:
    """A step that ended in a dead-letter queue."""

    stage: Stage
    part: str
    reason: str


@dataclass(frozen=True)
class StageProgress:
    """One stage of one folder. `seconds` is from its first start to its last end so far."""

    state: StageState = "waiting"
    done: int = 0
    expected: int = 0
    counts: tuple[tuple[str, int], ...] = ()
    seconds: float | None = None
    retry_reason: str | None = None

    def count(self, name: str) -> int:
        """Return a count the stage reported, summed over its steps; 0 when it did not."""
        return dict(self.counts).get(name, 0)


@dataclass(frozen=True)
class FolderProgress:
    """One folder (quarter) on its way through the stages."""

    part: str
    collector: StageProgress
    processor: StageProgress
    loader: StageProgress
    nothing_new: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        stopped_early = self.nothing_new or "parked" in {
            self.collector.state,
            self.processor.state,
        }
        return stopped_early or self.loader.state in {"done", "parked"}


@dataclass(frozen=True)
class TableLoad:
    """One committed load."""

    part: str
    table: str
    rows: int
    outcome: str | None


@dataclass(frozen=True)
class RunProgress:
    """A whole run; `seconds` is from the first start to the last end."""

    run_id: str
    state: RunState
    folders: tuple[FolderProgress, ...] = ()
    loads: tuple[TableLoad, ...] = ()
    warnings: tuple[str, ...] = ()
    parked: tuple[Parked, ...] = ()
    seconds: float | None = None

    @property
    def quarantined(self) -> int:
        """Rows that did not fit and lie in quarantine files."""
        return sum(folder.processor.count("quarantined") for folder in self.folders)

    @property
    def rows_by_table(self) -> dict[str, int]:
        """Rows of this run's loads per table, over all quarters."""
        rows: dict[str, int] = {}
        for load in self.loads:
            rows[load.table] = rows.get(load.table, 0) + load.rows
        return dict(sorted(rows.items()))


def fold(run_id: str, steps: Sequence[StepRecord]) -> RunProgress:
    """Return the run's progress; each step's `expects` says what the next stage has to do."""
    by_place = {(step.stage, step.part): step for step in steps}
    generator = next((step for step in steps if step.stage == "generator"), None)
    if generator is None:
        return RunProgress(run_id, "waiting")
    folders = tuple(_folder(part, by_place) for part in generator.expects)
    parked = tuple(
        Parked(step.stage, step.part, step.reason or "no reason given")
        for step in sorted(steps, key=lambda step: step.started_at)
        if step.status == "parked"
    )
    return RunProgress(
        run_id=run_id,
        state=_run_state(generator, folders, parked),
        folders=folders,
        loads=tuple(
            _load(step) for step in steps if step.stage == "loader" and step.status == "done"
        ),
        # A warning of the collector travels on with its event: say it once.
        warnings=tuple(dict.fromkeys(_warning(step, t) for step in steps for t in step.warnings)),
        parked=parked,
        seconds=_seconds(steps),
    )


def _warning(step: StepRecord, text: str) -> str:
    """Say which part a warning is about, unless it says so itself."""
    folder = step.part.partition("/")[0]
    return text if folder == "all" or folder in text else f"{step.part}: {text}"


def _run_state(
    generator: StepRecord, folders: Sequence[FolderProgress], parked: Sequence[Parked]
) -> RunState:
    if generator.status == "parked":
        return "parked"
    if generator.status != "done" or not all(folder.ended for folder in folders):
        return "running"
    return "parked" if parked else "finished"


def _folder(part: str, by_place: dict[tuple[Stage, str], StepRecord]) -> FolderProgress:
    processor = by_place.get(("processor", part))
    loads = processor.expects if processor is not None and processor.status == "done" else ()
    collector = by_place.get(("collector", part))
    return FolderProgress(
        part=part,
        collector=_stage([collector], 1),
        processor=_stage([processor], 1),
        loader=_loader_stage([by_place.get(("loader", load)) for load in loads], processor),
        nothing_new=collector is not None and collector.outcome == "nothing_new",
    )


def _loader_stage(
    steps: Sequence[StepRecord | None], processor: StepRecord | None
) -> StageProgress:
    if processor is not None and processor.status == "done" and not steps:
        return StageProgress("done")  # a folder that held no table
    return _stage(steps, len(steps))


def _stage(steps: Sequence[StepRecord | None], expected: int) -> StageProgress:
    known = [step for step in steps if step is not None]
    done = [step for step in known if step.status == "done"]
    counts: dict[str, int] = {}
    for step in done:
        for name, count in step.counts.items():
            counts[name] = counts.get(name, 0) + count
    retrying = [step for step in known if step.status == "retrying"]
    return StageProgress(
        state=_stage_state(known, expected),
        done=len(done),
        expected=expected,
        counts=tuple(sorted(counts.items())),
        seconds=_seconds(known),
        retry_reason=retrying[0].reason if retrying else None,
    )


def _stage_state(known: Sequence[StepRecord], expected: int) -> StageState:
    statuses = [step.status for step in known]
    ended = statuses.count("done") + statuses.count("parked")
    if expected and ended == expected:
        return "parked" if "parked" in statuses else "done"
    if "retrying" in statuses and "started" not in statuses:
        return "retrying"
    return "working" if known else "waiting"


def _load(step: StepRecord) -> TableLoad:
    return TableLoad(
        part=step.part,
        table=step.part.rsplit("/", 1)[-1],
        rows=step.counts.get("rows", 0),
        outcome=step.outcome,
    )


def _seconds(steps: Sequence[StepRecord]) -> float | None:
    ends: list[datetime] = [step.finished_at for step in steps if step.finished_at is not None]
    if not ends:
        return None
    return (max(ends) - min(step.started_at for step in steps)).total_seconds()

"""Runs made of the run log's steps."""

from datetime import UTC, datetime, timedelta

from contracts import StepRecord
from ops.runs import runs_of

AT = datetime(2026, 11, 21, 8, tzinfo=UTC)


def step(run: str, stage: str, minute: int, **fields: object) -> StepRecord:
    values: dict[str, object] = {
        "run_id": run,
        "stage": stage,
        "part": "all" if stage == "generator" else "2013Q1",
        "status": "done",
        "dataset": "call_reports",
        "message_id": "m",
        "started_at": AT + timedelta(minutes=minute),
        "finished_at": AT + timedelta(minutes=minute, seconds=30),
    }
    return StepRecord.model_validate(values | fields)


def test_steps_become_runs_with_the_newest_first_and_steps_in_their_order() -> None:
    runs = runs_of(
        [step("old", "collector", 1), step("new", "generator", 5), step("old", "generator", 0)]
    )

    assert [run.run_id for run in runs] == ["new", "old"]
    assert [one.stage for one in runs[1].steps] == ["generator", "collector"]


def test_a_run_tells_its_trace_rows_and_what_was_parked() -> None:
    (run,) = runs_of(
        [
            step("r", "generator", 0, expects=("2013Q1",), trace="Root=1-x"),
            step("r", "loader", 2, part="2013Q1/call_reports.rc", counts={"rows": 5}),
            step("r", "loader", 3, part="2013Q1/call_reports.ri", counts={"rows": 7}),
            step("r", "collector", 1, status="parked", reason="PageChanged: gone"),
        ]
    )

    assert run.trace == "Root=1-x"
    assert run.rows == 12
    assert [parked.reason for parked in run.progress.parked] == ["PageChanged: gone"]

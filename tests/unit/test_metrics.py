"""What CloudWatch is told, and the one trace of a run."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from contracts import CollectFolder, Envelope, GenerateRequest, StepRecord
from shared.errors import PageChanged
from shared.metrics import measure

AT = datetime(2026, 11, 21, 8, tzinfo=UTC)
STEP = StepRecord(
    run_id="run-1",
    stage="processor",
    part="2013Q1",
    status="done",
    dataset="call_reports",
    message_id="m",
    sent_at=AT - timedelta(seconds=90),
    started_at=AT,
    finished_at=AT + timedelta(seconds=7),
    counts={"rows": 5000, "bytes": 900, "quarantined": 2, "tables": 38},
    trace="Root=1-a",
)


def printed(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_finished_step_tells_messages_rows_bytes_seconds_and_age(
    capsys: pytest.CaptureFixture[str],
) -> None:
    measure(STEP)

    (metrics,) = printed(capsys.readouterr().out)
    shown = ("service", "Done", "Rows", "Bytes", "Quarantined", "Seconds", "AgeSeconds", "trace")
    assert [metrics[name] for name in shown] == [
        "processor",
        [1.0],
        [5000.0],
        [900.0],
        [2.0],
        [7.0],
        [90.0],
        "Root=1-a",
    ]


def test_a_failure_is_counted_by_its_kind(capsys: pytest.CaptureFixture[str]) -> None:
    parked = STEP.model_copy(update={"status": "parked", "counts": {}})

    measure(parked, error=PageChanged("gone"))

    message, failure = printed(capsys.readouterr().out)
    assert message["Parked"] == [1.0]
    assert (failure["error"], failure["Failures"]) == ("PageChanged", [1.0])


def test_the_first_message_of_a_run_begins_its_trace_and_the_others_carry_it_on() -> None:
    first = Envelope[GenerateRequest].wrap(
        GenerateRequest(dataset="call_reports"), run_id="run-1", trace=None, sent_at=AT
    )
    second = Envelope[CollectFolder].wrap(
        CollectFolder(dataset="call_reports"),
        run_id="run-1",
        trace=first.trace,
        sent_at=AT + timedelta(hours=1),
    )

    assert first.trace is not None
    assert first.trace.startswith(f"Root=1-{int(AT.timestamp()):08x}-")
    assert second.trace == first.trace

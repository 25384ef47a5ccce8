"""What X-Ray is told of a step, by a daemon's own socket."""

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from contracts import StepRecord
from shared.errors import PageChanged
from shared.traces import annotate, trace_header

AT = datetime(2026, 11, 21, 8, tzinfo=UTC)
TRACE = "Root=1-6b00d0f0-c4133d3a88745ddc8ef71c0a"
STEP = StepRecord(
    run_id="run-1",
    stage="collector",
    part="2013Q1",
    status="done",
    dataset="call_reports",
    message_id="m",
    started_at=AT,
    finished_at=AT + timedelta(seconds=7),
    trace=TRACE,
)


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(10)
        monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", f"127.0.0.1:{listening.getsockname()[1]}")
        invocation = "Root=1-aaaaaaaa-bbbbbbbbbbbbbbbbbbbbbbbb;Parent=cccccccccccccccc;Sampled=1"
        monkeypatch.setenv("_X_AMZN_TRACE_ID", invocation)
        yield listening


def received(daemon: socket.socket) -> dict[str, object]:
    header, _, document = daemon.recv(65_536).partition(b"\n")
    assert json.loads(header) == {"format": "json", "version": 1}
    found: dict[str, object] = json.loads(document)
    return found


def test_a_step_is_a_subsegment_of_its_invocation_that_its_run_finds(daemon: socket.socket) -> None:
    annotate(STEP)

    told = received(daemon)
    assert (told["type"], told["name"], told["fault"]) == ("subsegment", "quarry.collector", False)
    assert told["trace_id"] == "1-aaaaaaaa-bbbbbbbbbbbbbbbbbbbbbbbb"
    assert told["parent_id"] == "cccccccccccccccc"
    assert (told["start_time"], told["end_time"]) == (AT.timestamp(), AT.timestamp() + 7)
    annotations = told["annotations"]
    assert isinstance(annotations, dict)
    assert (annotations["run_id"], annotations["run_trace"]) == ("run-1", TRACE)


def test_a_step_that_failed_is_a_fault_of_its_kind(daemon: socket.socket) -> None:
    parked = STEP.model_copy(update={"status": "parked"})

    annotate(parked, error=PageChanged("gone"))

    told = received(daemon)
    assert told["fault"] is True
    annotations = told["annotations"]
    assert isinstance(annotations, dict)
    assert (annotations["status"], annotations["error"]) == ("parked", "PageChanged")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_XRAY_DAEMON_ADDRESS", ""),
        ("_X_AMZN_TRACE_ID", ""),
        ("_X_AMZN_TRACE_ID", "Root=1-a-b;Parent=c;Sampled=0"),
    ],
)
def test_without_daemon_or_sampling_nothing_is_sent(
    daemon: socket.socket, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    annotate(STEP)

    daemon.setblocking(False)
    with pytest.raises(BlockingIOError):
        daemon.recv(65_536)


def test_a_daemon_that_cannot_be_reached_stops_nothing(
    daemon: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", "no address")

    annotate(STEP)

    assert daemon.getsockname()


@pytest.mark.parametrize("trace", [None, "my own", "Root=1-x-y"])
def test_a_trace_that_xray_cannot_read_is_not_handed_to_aws(trace: str | None) -> None:
    assert trace_header(trace) is None
    assert trace_header(f"{TRACE};Sampled=1") == f"{TRACE};Sampled=1"

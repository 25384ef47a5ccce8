"""LoadTable version 1, as it still lies in queues, DLQs and archives, becomes version 2."""

import json
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from contracts import InvalidMessage, LoadTable, Period, open_envelope
from contracts.upcast import UPCASTS, versions_of
from tests.contracts.running_services import NAMES, RunningServices
from tests.loads import bank_rows, write

EXAMPLES = Path(__file__).parents[2] / "contracts" / "examples"
V1 = (EXAMPLES / "LoadTable.v1.replace-period.json").read_text()
V2 = (EXAMPLES / "LoadTable.v2.replace-period.json").read_text()


def v1(**payload: Any) -> str:
    document = json.loads(V1)
    document["payload"] |= payload
    return json.dumps(document)


def test_a_message_of_version_1_says_the_same_as_its_heir() -> None:
    assert open_envelope(V1, LoadTable) == open_envelope(V2, LoadTable)


def test_the_ids_and_the_trace_of_a_message_survive() -> None:
    document = json.loads(V1) | {"trace": "Root=1-2-3"}
    envelope = open_envelope(json.dumps(document), LoadTable)
    assert str(envelope.message_id) == document["message_id"]
    assert envelope.run_id == document["run_id"]
    assert (envelope.version, envelope.trace) == (2, "Root=1-2-3")


def test_the_last_day_decides_where_period_and_day_disagree() -> None:
    payload = open_envelope(v1(period="2013Q1", period_end="2013-06-30"), LoadTable).payload
    assert (payload.period, payload.period_end) == (Period(2013, 2), date(2013, 6, 30))


@pytest.mark.parametrize(
    ("period", "period_end", "understood"),
    [
        ("2013Q1", None, Period(2013, 1)),
        (None, "2013-03-31", Period(2013, 1)),
        (None, None, None),
    ],
)
def test_either_of_the_two_was_allowed_alone(
    period: str | None, period_end: str | None, understood: Period | None
) -> None:
    payload = open_envelope(v1(period=period, period_end=period_end), LoadTable).payload
    assert payload.period == understood


def test_a_fault_in_a_message_of_version_1_is_said_with_its_field() -> None:
    with pytest.raises(InvalidMessage, match=r"payload\.rows: Input should be greater"):
        open_envelope(v1(rows=-1), LoadTable)


def test_a_version_nobody_knows_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InvalidMessage, match=r"reads LoadTable version 2 or 1, .* version 3"):
        open_envelope(V2.replace('"version": 2', '"version": 3'), LoadTable)


@pytest.mark.parametrize("step", UPCASTS, ids=lambda step: f"{step.old.type}.v{step.old.version}")
def test_an_upcaster_leads_from_one_version_to_the_next(step: Any) -> None:
    assert (step.old.type, step.old.version + 1) == (step.new.type, step.new.version)
    assert step.old in versions_of(step.new)


def test_version_1_goes_through_queue_dlq_and_replay_like_its_heir(
    services: RunningServices, tmp_path: Path
) -> None:
    """Its Parquet is missing, so the loader parks it; the same body is loaded once it is there."""
    services.drain("loader")
    parquet = tmp_path / "rc.parquet"
    body = as_version_1(write(parquet, bank_rows({37: 1000})))
    services.send("loader", body)
    (delivered,) = services.receive(services.queue_url("loader"))
    assert services.treat("loader", delivered["Body"]) == []
    ((parked, facts),) = services.parked("loader")
    assert (parked, facts["error_type"]) == (body, "MissingObject")

    upload(services, parquet, open_envelope(parked, LoadTable).payload.object.key)
    services.send("loader", parked)
    (replayed,) = services.receive(services.queue_url("loader"))
    assert services.treat("loader", replayed["Body"]) == []
    assert services.parked("loader") == []
    assert status(services, json.loads(body)["run_id"]) == ("done", "loaded")


def as_version_1(load: LoadTable) -> str:
    """Return the body a processor of version 1 would have sent, of a run of its own."""
    envelope = json.loads(V1)
    said = json.loads(load.model_dump_json()) | {"period_end": "2013-03-31"}
    payload = {name: said[name] for name in envelope["payload"]}
    return json.dumps(envelope | {"run_id": uuid4().hex, "payload": payload})


def upload(services: RunningServices, path: Path, key: str) -> None:
    services.client("s3").upload_file(str(path), NAMES.bucket, key)


def status(services: RunningServices, run_id: str) -> tuple[str, str]:
    """Return what the run log says of the only step of a run."""
    (item,) = services.client("dynamodb").query(
        TableName=NAMES.runs_table,
        KeyConditionExpression="run_id = :run",
        ExpressionAttributeValues={":run": {"S": run_id}},
    )["Items"]
    step = json.loads(item["body"]["S"])
    return step["status"], step["outcome"]

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts import Envelope, GenerateRequest, StepRecord
from services.generator.api import Api
from tests.fakes import FakeRunLog, FakeSender

NOW = datetime(2023, 8, 1, tzinfo=UTC)
QUARTER = {
    "dataset": "call_reports",
    "start_year": 2023,
    "start_quarter": 1,
    "end_year": 2023,
    "end_quarter": 1,
}


def api(sender: FakeSender, run_log: FakeRunLog) -> Api:
    async def send(envelope: Envelope[GenerateRequest]) -> None:
        await sender(envelope)

    async def steps(run_id: str) -> Sequence[StepRecord]:
        return [record for record in run_log.records if record.run_id == run_id]

    return Api(send=send, steps=steps, now=lambda: NOW, max_periods=40)


def post(body: object, request_id: str = "6c1a4f0e") -> dict[str, Any]:
    return {
        "httpMethod": "POST",
        "resource": "/runs",
        "body": body if isinstance(body, str) else json.dumps(body),
        "requestContext": {"requestId": request_id},
    }


def get(run_id: str) -> dict[str, Any]:
    return {"httpMethod": "GET", "pathParameters": {"run_id": run_id}, "body": None}


async def test_a_request_is_accepted_with_the_run_id_its_message_carries() -> None:
    sender = FakeSender()

    response = await api(sender, FakeRunLog()).answer(post(QUARTER))

    (envelope,) = sender.sent
    assert response["statusCode"] == 202
    assert json.loads(response["body"]) == {"run_id": envelope.run_id}
    assert envelope.payload == GenerateRequest(**QUARTER)


async def test_a_body_that_arrives_in_base64_is_read() -> None:
    event = post(base64.b64encode(json.dumps(QUARTER).encode()).decode())

    response = await api(FakeSender(), FakeRunLog()).answer(event | {"isBase64Encoded": True})

    assert response["statusCode"] == 202


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("not json", "not JSON"),
        ("", "not JSON"),
        ({}, "dataset"),
        (QUARTER | {"start_quarter": 5}, "start_quarter"),
        (QUARTER | {"start_year": 2024}, "is after end"),
        (QUARTER | {"end_quarter": 3}, "is not over yet"),
        ({"dataset": "nobody_knows"}, "nobody_knows"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_the_reason(body: object, reason: str) -> None:
    sender = FakeSender()

    response = await api(sender, FakeRunLog()).answer(post(body))

    assert response["statusCode"] == 400
    assert reason in json.loads(response["body"])["reason"]
    assert sender.sent == []


async def test_an_unreachable_queue_is_not_the_callers_fault() -> None:
    response = await api(FakeSender(fail_times=1), FakeRunLog()).answer(post(QUARTER))

    assert response["statusCode"] == 503


async def test_the_status_of_a_run_is_its_steps() -> None:
    step = StepRecord(
        run_id="run-1",
        stage="generator",
        part="all",
        status="done",
        dataset="call_reports",
        message_id="m",
        started_at=NOW,
        finished_at=NOW,
    )

    response = await api(FakeSender(), FakeRunLog([step])).answer(get("run-1"))

    assert response["statusCode"] == 200
    assert json.loads(response["body"])["steps"][0]["status"] == "done"


async def test_a_run_nobody_knows_is_not_found() -> None:
    response = await api(FakeSender(), FakeRunLog()).answer(get("run-2"))

    assert response["statusCode"] == 404

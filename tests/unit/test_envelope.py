import json
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts import (
    CollectFolder,
    Envelope,
    GenerateRequest,
    InvalidMessage,
    Period,
    open_envelope,
    open_request,
)

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def command(**changes: Any) -> str:
    payload = CollectFolder(dataset="call_reports", period=Period(2013, 1), offset=-2)
    envelope = Envelope[CollectFolder].wrap(payload, run_id="run-1", trace=None, sent_at=NOW)
    return json.dumps({**json.loads(envelope.to_json()), **changes})


def test_a_message_survives_the_wire() -> None:
    envelope = open_envelope(command(), CollectFolder)
    assert envelope.payload.period == Period(2013, 1)
    assert json.loads(envelope.to_json()) == json.loads(command())


def test_a_reader_ignores_fields_it_does_not_know() -> None:
    document = json.loads(command(added_later=1))
    document["payload"]["also_new"] = {"deep": True}
    assert open_envelope(json.dumps(document), CollectFolder).run_id == "run-1"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("", "not JSON"),
        ('{"type": "CollectFolder"', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "a JSON list, not an object"),
        (command(type="Collect"), "says type 'Collect' version 1"),
        (command(version=2), "says type 'CollectFolder' version 2"),
        (command(run_id="a b"), "run_id: String should match"),
        (command(payload={"dataset": "call_reports", "period": "2013Q5"}), r"payload\.period"),
        (command(payload={"period": "2013Q1"}), r"payload\.dataset: Field required"),
        (command(sent_at="2026-11-21T00:00:00"), "sent_at: Input should have timezone info"),
    ],
)
def test_a_body_that_breaks_the_contract_is_refused_with_the_field(
    body: str, sentence: str
) -> None:
    with pytest.raises(InvalidMessage, match=sentence):
        open_envelope(body, CollectFolder)


def test_a_bare_request_names_its_wrong_field() -> None:
    body = '{"dataset": "call_reports", "start_quarter": 5}'
    with pytest.raises(InvalidMessage, match="start_quarter: Input should be less than or equal"):
        open_request(body, GenerateRequest, message_id="sqs-1")

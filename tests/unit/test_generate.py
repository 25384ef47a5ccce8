from datetime import UTC, datetime
from typing import Any

import pytest

from contracts import Envelope, GenerateRequest, open_request
from services.generator.generate import generate
from shared.consumer import Done
from shared.errors import InvalidRequest
from tests.fakes import FakeSender

AUGUST_2023 = datetime(2023, 8, 15, tzinfo=UTC)


def request(**fields: Any) -> Envelope[GenerateRequest]:
    bounds = {"start_year": 2013, "start_quarter": 1, "end_year": 2013, "end_quarter": 4}
    payload = GenerateRequest.model_validate({"dataset": "call_reports", **bounds, **fields})
    return Envelope[GenerateRequest].wrap(
        payload, run_id="run-1", trace="trace-1", sent_at=AUGUST_2023
    )


async def run(envelope: Envelope[GenerateRequest], send: FakeSender, *, limit: int = 40) -> Done:
    return await generate(envelope, send=send, now=lambda: AUGUST_2023, max_periods=limit)


async def test_a_year_becomes_one_command_per_quarter() -> None:
    send = FakeSender()
    done = await run(request(), send)
    assert [str(e.payload.period) for e in send.sent] == ["2013Q1", "2013Q2", "2013Q3", "2013Q4"]
    assert done.expects == ("2013Q1", "2013Q2", "2013Q3", "2013Q4")


async def test_a_command_tells_its_offset_from_the_current_quarter() -> None:
    send = FakeSender()
    await run(request(start_year=2023, end_year=2023, end_quarter=1), send)
    assert [e.payload.offset for e in send.sent] == [-2]


async def test_commands_belong_to_the_run_and_trace_of_the_request() -> None:
    send = FakeSender()
    await run(request(), send)
    assert {(e.run_id, e.trace) for e in send.sent} == {("run-1", "trace-1")}


async def test_the_same_request_again_repeats_the_same_message_ids() -> None:
    first, second = FakeSender(), FakeSender()
    await run(request(), first)
    await run(request(), second)
    assert [e.message_id for e in first.sent] == [e.message_id for e in second.sent]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"end_year": 2012}, "start 2013Q1 is after end 2012Q4"),
        ({"start_year": 2000}, "call_reports begins with 2001Q1"),
        ({"end_year": 2023, "end_quarter": 3, "start_year": 2023}, "2023Q3 is not over yet"),
        ({"end_year": 2030, "start_year": 2030}, "2030Q4 is not over yet"),
        ({"start_year": 2001, "end_year": 2022}, "is 88 quarters, at most 40 are allowed"),
        ({"end_year": None, "end_quarter": None}, "add end_year, end_quarter"),
        ({"start_year": -5}, "begins with 2001Q1"),
        ({"dataset": "call_report"}, "no dataset is called 'call_report'; there are: .*call_rep"),
    ],
)
async def test_a_range_that_makes_no_sense_is_refused(
    fields: dict[str, Any], sentence: str
) -> None:
    send = FakeSender()
    with pytest.raises(InvalidRequest, match=sentence):
        await run(request(**fields), send)
    assert send.sent == []


def test_a_bare_request_gets_its_run_from_the_queues_message_id() -> None:
    body = '{"dataset": "call_reports", "start_year": 2013}'
    first = open_request(body, GenerateRequest, message_id="sqs-1")
    again = open_request(body, GenerateRequest, message_id="sqs-1")
    other = open_request(body, GenerateRequest, message_id="sqs-2")
    assert first.run_id == again.run_id
    assert first.run_id != other.run_id


async def test_what_is_asked_of_scanned_tables_travels_with_the_command() -> None:
    send = FakeSender()
    payload = GenerateRequest(dataset="invoices", max_items=9, save_csv=True)
    asked = Envelope[GenerateRequest].wrap(payload, run_id="r", trace=None, sent_at=AUGUST_2023)
    await run(asked, send)
    (command,) = [envelope.payload for envelope in send.sent]
    assert (command.part, command.max_items, command.save_csv) == ("all", 9, True)


async def test_csv_of_quarters_is_asked_for_with_every_command() -> None:
    send = FakeSender()
    await run(request(save_csv=True), send)
    assert [envelope.payload.save_csv for envelope in send.sent] == [True] * 4


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"dataset": "call_reports", "max_items": 9}, "call_reports has no scanned tables"),
        ({"dataset": "totesys", "save_csv": True}, "totesys comes as packets, not as tables"),
    ],
)
async def test_what_a_dataset_cannot_do_is_refused(fields: dict[str, Any], reason: str) -> None:
    asked = Envelope[GenerateRequest].wrap(
        GenerateRequest.model_validate(fields), run_id="r", trace=None, sent_at=AUGUST_2023
    )
    with pytest.raises(InvalidRequest, match=reason):
        await run(asked, FakeSender())

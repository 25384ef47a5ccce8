"""What a parked message says, which are meant, and how they group."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import Period
from ops.dlq.filters import Filter, InvalidFilter, moment, select
from ops.dlq.groups import grouped, sparkline
from ops.dlq.message import NOT_RECORDED, Origin, ParkedMessage, message_from_sqs
from tests.dead_letters import AT, COLLECTOR, GENERATOR, LOADER, parked
from tests.parked import collect, load

RULE = Origin("quarry-local-folder-complete-dlq", "processor", "quarry-local-processor", True)


def from_sqs(body: str, origin: Origin = COLLECTOR, **attributes: str) -> ParkedMessage:
    raw = {
        "MessageId": "m1",
        "Body": body,
        "Attributes": {"SentTimestamp": "1763700000000", "ApproximateReceiveCount": "3"},
        "MessageAttributes": {n: {"StringValue": v} for n, v in attributes.items()},
    }
    return message_from_sqs(raw, origin, retention_seconds=14 * 86_400)


def test_a_message_knows_its_dataset_quarter_and_expiry() -> None:
    message = from_sqs(collect(Period(2013, 1)))

    assert (message.dataset, message.period, message.run_id) == (
        "call_reports",
        "2013Q1",
        "night-run",
    )
    assert message.expires_at - message.sent_at == timedelta(days=14)
    assert message.receive_count == 3


def test_a_message_that_sqs_redrove_has_no_reason_and_says_so() -> None:
    message = from_sqs(collect(Period(2013, 1)))

    assert message.reason == NOT_RECORDED
    assert message.error_type == "Redriven"
    assert message.parked_at == message.sent_at


def test_an_undelivered_event_is_read_through_its_detail() -> None:
    event = {"detail-type": "FolderComplete", "detail": json.loads(collect(Period(2013, 1)))}
    message = from_sqs(json.dumps(event), RULE, ERROR_CODE="NO_PERMISSIONS", ERROR_MESSAGE="no")

    assert (message.error_type, message.reason, message.period) == (
        "NO_PERMISSIONS",
        "no",
        "2013Q1",
    )


@pytest.mark.parametrize(
    "body", ["not json", "[1]", '"text"', "null", '{"payload": 5}', '{"payload": {"period": 5}}']
)
def test_any_body_can_be_looked_at(body: str) -> None:
    message = from_sqs(body)

    assert (message.dataset, message.period, message.table) == (None, None, None)


@given(st.text())
def test_no_body_breaks_the_reading(body: str) -> None:
    assert from_sqs(body).dataset is None or isinstance(from_sqs(body).dataset, str)


def test_values_in_a_reason_do_not_make_another_group() -> None:
    messages = [parked(number) for number in range(5)]

    (group,) = grouped(messages)

    assert len(group.messages) == 5
    assert group.example.shape == "control … is gone"


def test_another_service_dataset_or_error_is_another_group() -> None:
    messages = [
        parked(1),
        parked(2, LOADER),
        parked(3, body='{"dataset": "other"}'),
        parked(4, attributes={"error_type": "Other", "reason": "control 4 is gone"}),
    ]

    assert [len(group.messages) for group in grouped(messages)] == [1, 1, 1, 1]


def test_counts_over_time_keep_every_message() -> None:
    (group,) = grouped([parked(number) for number in range(120)])

    counts = group.counts(now=AT + timedelta(hours=2), span=timedelta(hours=1), buckets=6)

    assert sum(counts) == 120
    assert counts == [71, 10, 10, 10, 10, 9]  # minutes 60 to 119 lie 1 to 60 minutes back


def test_a_sparkline_shows_the_highest_as_full_and_zero_as_blank() -> None:
    assert sparkline([0, 1, 4, 8]) == " ▁▄█"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(), [0, 1, 2, 3]),
        (Filter(service="loader"), [2]),
        (Filter(dataset="call_reports"), [1, 2]),
        (Filter(period="2013Q2"), [2]),
        (Filter(error="pageCHANGED"), [0, 1, 2]),
        (Filter(error="disk"), [3]),
        (Filter(since=AT + timedelta(minutes=2)), [2, 3]),
        (Filter(until=AT + timedelta(minutes=2)), [0, 1]),
        (Filter(where="payload.table == 'rc' && payload.rows > `100`"), [2]),
        (Filter(where="starts_with(payload.period, '2013')"), [1, 2]),
        (Filter(ids=("0001", "0003")), [1, 3]),
        (Filter(service="loader", period="2013Q1"), []),
    ],
)
def test_a_filter_finds_what_fits_all_its_conditions(wanted: Filter, found: list[int]) -> None:
    messages = [
        parked(0, GENERATOR, body="not json"),
        parked(1, body=collect(Period(2013, 1))),
        parked(2, LOADER, body=load(Period(2013, 2))),
        parked(3, attributes={"error_type": "OSError", "reason": "no disk space"}),
    ]

    assert [int(message.message_id[:4]) for message in select(messages, wanted)] == found


def test_a_group_id_is_a_filter() -> None:
    messages = [parked(1), parked(2, LOADER)]

    assert select(messages, Filter(kind=messages[1].kind)) == [messages[1]]


def test_a_body_expression_that_does_not_parse_is_refused() -> None:
    with pytest.raises(InvalidFilter, match="does not parse"):
        select([parked(1)], Filter(where="payload.["))


def test_times_are_spans_before_now_or_iso_times() -> None:
    now = datetime(2026, 11, 21, 9, tzinfo=UTC)

    assert moment("90m", now) == now - timedelta(minutes=90)
    assert moment("3d", now) == now - timedelta(days=3)
    assert moment("2026-11-20T09:00+00:00", now) == now - timedelta(days=1)
    with pytest.raises(InvalidFilter, match="write 12h"):
        moment("soon", now)

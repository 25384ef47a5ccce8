from dataclasses import replace

import pytest

from contracts import GenerateRequest
from infra.request_schema import request_schema
from infra.settings import FunctionSettings, ScheduleSettings, ServiceSettings, settings_for
from infra.timetable import PLANNED, scheduled_requests

SCHEDULE = ScheduleSettings(
    enabled=True, days_after_quarter_end=46, recollect_quarters=8, incremental={"orders": 15}
)
FUNCTION = FunctionSettings(memory_mb=512, timeout_seconds=60, batch_size=1, max_concurrency=2)


def test_quarterly_reports_are_asked_for_46_days_after_each_quarter() -> None:
    due = {
        name: expression
        for name, expression, _ in scheduled_requests(SCHEDULE)
        if name.startswith("call-reports-q")
    }
    assert due == {
        "call-reports-q1": "cron(0 12 16 5 ? *)",
        "call-reports-q2": "cron(0 12 15 8 ? *)",
        "call-reports-q3": "cron(0 12 15 11 ? *)",
        "call-reports-q4": "cron(0 12 15 2 ? *)",
    }


def test_restatements_are_looked_for_each_month() -> None:
    (found,) = (
        entry for entry in scheduled_requests(SCHEDULE) if entry[0].endswith("restatements")
    )
    assert found[1] == "cron(0 12 1 * ? *)"
    assert found[2]["last_quarters"] == 8


def test_a_dataset_that_is_refreshed_whole_is_asked_for_once_a_day() -> None:
    schedule = replace(SCHEDULE, refresh={"stock": 3})
    *_, (name, expression, request) = scheduled_requests(schedule)
    assert (name, expression) == ("refresh-stock", "cron(0 3 * * ? *)")
    assert request == {"dataset": "stock"}


def test_an_incremental_source_is_asked_every_so_many_minutes() -> None:
    *_, (name, expression, request) = scheduled_requests(SCHEDULE)
    assert (name, expression) == ("incremental-orders", "rate(15 minutes)")
    assert request == {"dataset": "orders"}


def test_every_scheduled_message_is_a_request_once_the_moment_is_filled_in() -> None:
    for _, _, request in scheduled_requests(SCHEDULE):
        filled = {
            name: "2026-05-16T12:00:00Z" if value == PLANNED else value
            for name, value in request.items()
        }
        assert GenerateRequest.model_validate(filled).dataset == request["dataset"]


def test_the_request_validator_knows_every_field_of_the_contract() -> None:
    schema = request_schema()
    assert set(schema["properties"]) == set(GenerateRequest.model_fields)
    assert schema["required"] == ["dataset"]
    assert schema["properties"]["start_quarter"] == {"type": "integer", "minimum": 1, "maximum": 4}


def test_a_visibility_below_six_timeouts_is_refused() -> None:
    with pytest.raises(ValueError, match="a slow batch would run twice"):
        ServiceSettings(visibility_seconds=359, oldest_message_alarm_seconds=1, function=FUNCTION)


def test_a_concurrency_that_sqs_refuses_is_refused_here() -> None:
    with pytest.raises(ValueError, match="2 to 1000"):
        FunctionSettings(memory_mb=512, timeout_seconds=60, batch_size=1, max_concurrency=1)


def test_a_reservation_below_the_pollers_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="would be throttled"):
        FunctionSettings(
            memory_mb=512,
            timeout_seconds=60,
            batch_size=1,
            max_concurrency=4,
            reserved_concurrency=3,
        )


def test_parked_messages_outlive_waiting_ones_everywhere() -> None:
    for env in ("local", "dev", "prod"):
        settings = settings_for(env)
        assert settings.dead_letter_retention_days > settings.message_retention_days

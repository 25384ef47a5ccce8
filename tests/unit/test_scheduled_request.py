from datetime import UTC, datetime
from typing import Any

import pytest

from contracts import GenerateRequest, Period
from contracts.datasets import dataset_named
from services.generator.periods import periods_of
from shared.errors import InvalidRequest

CALL_REPORTS = dataset_named("call_reports")


NOW = Period(2026, 4)


def asked(current: Period = NOW, **fields: Any) -> list[str]:
    request = GenerateRequest(dataset="call_reports", **fields)
    found = periods_of(request, CALL_REPORTS, current=current, max_periods=40)
    return [str(period) for period in found]


def test_the_last_quarter_is_the_one_that_was_over_at_the_planned_moment() -> None:
    assert asked(last_quarters=1, as_of=datetime(2026, 5, 16, 12, tzinfo=UTC)) == ["2026Q1"]


def test_a_replay_three_months_later_still_means_the_same_quarters() -> None:
    planned = datetime(2026, 5, 16, 12, tzinfo=UTC)

    at_once = asked(Period(2026, 2), last_quarters=3, as_of=planned)
    later = asked(Period(2026, 3), last_quarters=3, as_of=planned)

    assert at_once == later == ["2025Q3", "2025Q4", "2026Q1"]


def test_the_last_quarters_reach_no_further_back_than_the_source() -> None:
    first = CALL_REPORTS.first_period
    assert first is not None
    planned = datetime(first.year + 1, 2, 1, tzinfo=UTC)

    assert asked(last_quarters=40, as_of=planned)[0] == str(first)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"last_quarters": 1}, "belong together"),
        ({"as_of": datetime(2026, 5, 16, tzinfo=UTC)}, "belong together"),
        (
            {"last_quarters": 1, "as_of": datetime(2026, 5, 16, tzinfo=UTC), "end_year": 2026},
            "leave out end_year",
        ),
        ({"last_quarters": 1, "as_of": datetime(2027, 5, 16, tzinfo=UTC)}, "is not over yet"),
    ],
)
def test_a_mixed_or_future_request_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        asked(**fields)

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import Period

periods = st.builds(Period, st.integers(1900, 2999), st.integers(1, 4))


def test_a_quarter_two_before_the_current_one_has_offset_minus_two() -> None:
    assert Period(2023, 1).offset_from(Period(2023, 3)) == -2


@given(periods, st.integers(-40, 40))
def test_the_offset_leads_back_to_the_period(current: Period, offset: int) -> None:
    index = current.index + offset
    other = Period(index // 4, index % 4 + 1)
    assert other.offset_from(current) == offset


@given(periods)
def test_a_period_survives_being_written_and_read(period: Period) -> None:
    assert Period.parse(str(period)) == period


@given(st.dates())
def test_a_day_lies_in_its_quarter(day: date) -> None:
    period = Period.of(day)
    assert (day.month - 1) // 3 + 1 == period.quarter
    assert day <= period.end


@given(periods, st.integers(0, 30))
def test_a_range_has_every_quarter_once_in_order(first: Period, more: int) -> None:
    last = Period((first.index + more) // 4, (first.index + more) % 4 + 1)
    found = list(first.through(last))
    assert found == sorted(set(found))
    assert len(found) == more + 1


@pytest.mark.parametrize("text", ["2023Q5", "2023q1", "23Q1", "2023Q1\n", "", "2023Q1 "])
def test_anything_else_is_not_a_period(text: str) -> None:
    with pytest.raises(ValueError, match="is not a period"):
        Period.parse(text)

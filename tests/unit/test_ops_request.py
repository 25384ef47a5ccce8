import pytest

from contracts import GenerateRequest
from ops.commands.send import new_run_id, request_for
from ops.errors import CommandFailed


def test_a_range_of_quarters_becomes_years_and_quarters() -> None:
    assert request_for("call_reports", "2013Q1", "2014Q4") == GenerateRequest(
        dataset="call_reports", start_year=2013, start_quarter=1, end_year=2014, end_quarter=4
    )


def test_the_last_quarter_may_be_left_out() -> None:
    assert request_for("call_reports", "2013Q2", None) == request_for(
        "call_reports", "2013Q2", "2013Q2"
    )


def test_a_dataset_without_quarters_needs_none() -> None:
    assert request_for("totesys", None, None) == GenerateRequest(dataset="totesys")


@pytest.mark.parametrize("text", ["2013Q5", "2013", "Q1 2013", ""])
def test_a_misspelt_quarter_is_shown(text: str) -> None:
    with pytest.raises(CommandFailed, match="write it like 2023Q1"):
        request_for("call_reports", text, None)


def test_an_end_without_a_start_is_refused() -> None:
    with pytest.raises(CommandFailed, match="--to needs --from"):
        request_for("call_reports", None, "2013Q1")


def test_run_ids_differ() -> None:
    assert new_run_id() != new_run_id()

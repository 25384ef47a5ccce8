"""Names in SQL text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.loader.sql import lock_key, qualified, quoted, short_name


def test_a_quote_in_a_name_cannot_end_the_name() -> None:
    assert quoted('a"; DROP TABLE x; --') == '"a""; DROP TABLE x; --"'


@pytest.mark.parametrize("name", ["", "x" * 64, "a\0b", "ü" * 32])
def test_a_name_the_server_would_change_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a PostgreSQL identifier"):
        quoted(name)


@given(st.text(min_size=1).filter(lambda name: "\0" not in name))
def test_any_name_becomes_one_that_fits(name: str) -> None:
    quoted(short_name(name))


def test_long_names_that_start_alike_stay_apart_and_readable() -> None:
    names = [f"{'average_balance_' * 5}{number}" for number in range(50)]
    short = {short_name(name) for name in names}

    assert len(short) == 50
    assert all(name.startswith("average_balance_average_balance_") for name in short)


def test_a_name_that_fits_stays_as_it_is() -> None:
    assert short_name("x" * 63) == "x" * 63


def test_each_table_has_its_own_lock() -> None:
    assert lock_key("a", "b_c") != lock_key("a_b", "c")
    assert -(2**63) <= lock_key("call_reports", "rc") < 2**63


def test_a_qualified_name_quotes_both_parts() -> None:
    assert qualified("call_reports", "RC") == '"call_reports"."RC"'

"""Arrow types, PostgreSQL types, and how a column widens."""

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.loader.columns import arrow_type, postgres_type, widest
from shared.errors import SchemaMismatch

LADDER = ["boolean", "smallint", "integer", "bigint", "double precision", "text"]
plain = st.sampled_from(
    [
        *LADDER,
        "date",
        "timestamp without time zone",
        "timestamp with time zone",
        "numeric(10,2)",
        "numeric(38,0)",
        "interval",
    ]
)


@given(st.sampled_from(LADDER), st.sampled_from(LADDER))
def test_numbers_widen_along_one_ladder(left: str, right: str) -> None:
    assert widest(left, right) == LADDER[max(LADDER.index(left), LADDER.index(right))]


@given(plain, plain, plain)
def test_the_order_of_arrival_does_not_decide_the_type(a: str, b: str, c: str) -> None:
    assert widest(a, b) == widest(b, a)
    assert widest(a, a) == a
    assert widest(widest(a, b), widest(a, b)) == widest(a, b)
    assert widest(widest(a, b), "text") == widest(widest(a, "text"), widest(b, c)) == "text"


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("numeric(10,2)", "numeric(12,0)", "numeric(14,2)"),
        ("numeric(10,2)", "bigint", "numeric(21,2)"),
        ("numeric(10,2)", "double precision", "text"),
        ("date", "timestamp without time zone", "text"),
        ("date", "bigint", "text"),
        ("bigint[]", "double precision[]", "double precision[]"),
        ("real", "double precision", "double precision"),
    ],
)
def test_what_neither_type_holds_exactly_goes_to_a_type_that_does(
    left: str, right: str, expected: str
) -> None:
    assert widest(left, right) == expected


@pytest.mark.parametrize(
    ("left", "right"), [("text[]", "text"), ("jsonb", "text"), ("bytea", "bigint")]
)
def test_shapes_that_share_no_type_are_refused(left: str, right: str) -> None:
    with pytest.raises(SchemaMismatch, match="no type holds both"):
        widest(left, right)


@pytest.mark.parametrize(
    ("arrow", "expected"),
    [
        (pa.int8(), "bigint"),
        (pa.uint64(), "numeric(20,0)"),
        (pa.float32(), "double precision"),
        (pa.decimal128(10, 2), "numeric(10,2)"),
        (pa.decimal128(5, -3), "numeric(8,0)"),
        (pa.timestamp("ns", "Europe/Rome"), "timestamp with time zone"),
        (pa.list_(pa.string()), "text[]"),
        (pa.list_(pa.struct([("a", pa.int64())])), "jsonb"),
        (pa.list_(pa.list_(pa.int64())), "jsonb"),
        (pa.dictionary(pa.int32(), pa.string()), "text"),
    ],
)
def test_each_arrow_type_has_its_column_type(arrow: pa.DataType, expected: str) -> None:
    assert postgres_type(arrow) == expected


def test_more_digits_than_a_decimal_can_carry_are_refused() -> None:
    with pytest.raises(SchemaMismatch, match="more than 38 digits"):
        postgres_type(pa.decimal256(60, 2))


def test_a_table_column_that_quarry_cannot_write_is_refused_by_name() -> None:
    with pytest.raises(SchemaMismatch, match="type tsvector"):
        arrow_type("tsvector")

import base64
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts.item_tables import ItemColumn, ItemKind
from services.processor.item_values import Attribute, Unfit, as_json, cell, said

NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=10).filter(
    lambda number: abs(number) < 10**27
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
PLAIN: st.SearchStrategy[tuple[Attribute, Any]] = st.one_of(
    TEXTS.map(lambda text: ({"S": text}, text)),
    NUMBERS.map(lambda number: ({"N": str(number)}, number)),
    st.booleans().map(lambda flag: ({"BOOL": flag}, flag)),
    st.just(({"NULL": True}, None)),
    st.lists(TEXTS, min_size=1, max_size=3, unique=True).map(
        lambda texts: ({"SS": texts}, sorted(texts))
    ),
    st.lists(NUMBERS, min_size=1, max_size=3, unique=True).map(
        lambda numbers: ({"NS": [str(number) for number in numbers]}, sorted(numbers))
    ),
    st.binary(max_size=8).map(
        lambda data: ({"B": base64.b64encode(data).decode()}, base64.b64encode(data).decode())
    ),
)


def _nested(
    inner: st.SearchStrategy[tuple[Attribute, Any]],
) -> st.SearchStrategy[tuple[Attribute, Any]]:
    return st.one_of(
        st.lists(inner, max_size=3).map(
            lambda pairs: ({"L": [one for one, _ in pairs]}, [value for _, value in pairs])
        ),
        st.dictionaries(TEXTS, inner, max_size=3).map(
            lambda pairs: (
                {"M": {name: one for name, (one, _) in pairs.items()}},
                {name: value for name, (_, value) in pairs.items()},
            )
        ),
    )


@given(st.recursive(PLAIN, _nested, max_leaves=12))
def test_any_attribute_reads_back_from_its_json_with_every_digit(
    pair: tuple[Attribute, Any],
) -> None:
    attribute, expected = pair
    assert json.loads(as_json(attribute), parse_float=Decimal, parse_int=Decimal) == expected


@given(st.decimals(allow_nan=False, allow_infinity=False), st.integers(0, 38))
@example(Decimal(0), 38)
def test_a_decimal_is_the_same_number_or_refused(number: Decimal, places: int) -> None:
    column = ItemColumn(name="x", kind="decimal", places=places)
    above, below = number.as_integer_ratio()
    fits = above * 10**places % below == 0 and abs(above) * 10**places < below * 10**38
    if fits:
        assert cell({"x": {"N": str(number)}}, column) == number
    else:
        with pytest.raises(Unfit):
            cell({"x": {"N": str(number)}}, column)


def test_a_path_leads_through_maps_and_lists() -> None:
    column = ItemColumn(name="sku", path=("lines", 1, "sku"))
    lines = {"L": [{"M": {}}, {"M": {"sku": {"S": "B-2"}}}]}
    assert cell({"lines": lines}, column) == "B-2"
    assert said(column.steps) == "lines[1].sku"


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"a": {"NULL": True}},
        {"a": {"M": {}}},
        {"a": {"M": {"b": {"NULL": True}}}},
        {"a": {"M": {"b": {"L": []}}}},
    ],
)
def test_what_is_missing_on_the_way_is_null_or_refused_where_it_is_required(
    item: dict[str, Attribute],
) -> None:
    path = ("a", "b", 0)
    assert cell(item, ItemColumn(name="x", path=path)) is None
    with pytest.raises(Unfit, match=r"a\.b\[0\] is missing"):
        cell(item, ItemColumn(name="x", path=path, required=True))


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


VALUES: list[tuple[ItemKind, Attribute, Any]] = [
    ("text", {"S": ""}, ""),
    ("int", {"N": "-9223372036854775808"}, -(2**63)),
    ("int", {"N": "1E+3"}, 1000),
    ("bool", {"BOOL": False}, False),
    ("date", {"S": "2024-02-29"}, date(2024, 2, 29)),
    ("timestamp", {"S": "2024-02-29T23:59:59.123456Z"}, _utc("2024-02-29T23:59:59.123456")),
    ("timestamp", {"S": "2024-03-01T01:00:00+02:00"}, _utc("2024-02-29T23:00")),
    ("timestamp", {"S": "2024-03-01 01:00"}, _utc("2024-03-01T01:00")),
    ("epoch", {"N": "1700000000.25"}, _utc("2023-11-14T22:13:20.250")),
    ("epoch", {"N": "-1"}, _utc("1969-12-31T23:59:59")),
    ("texts", {"SS": ["b", "a"]}, ["a", "b"]),
    ("texts", {"L": [{"S": "b"}, {"S": "a"}]}, ["b", "a"]),
    ("texts", {"L": []}, []),
    ("decimals", {"NS": ["2", "-1"]}, [Decimal(-1), Decimal(2)]),
    ("decimals", {"L": [{"N": "2"}, {"N": "-1"}]}, [Decimal(2), Decimal(-1)]),
    ("binary", {"B": "AP8="}, b"\x00\xff"),
    ("json", {"BOOL": True}, "true"),
]  # below each gets UTC


@pytest.mark.parametrize(("kind", "attribute", "expected"), VALUES)
def test_values_are_taken_by_the_kind_of_their_column(
    kind: ItemKind, attribute: Attribute, expected: object
) -> None:
    assert cell({"x": attribute}, ItemColumn(name="x", kind=kind)) == expected


@pytest.mark.parametrize(
    ("kind", "attribute", "reason"),
    [
        ("text", {"N": "1"}, "x is a N, not a S"),
        ("text", {"S": "a\0b"}, "x holds a NUL character"),
        ("json", {"M": {"a\0": {"N": "1"}}}, "x holds a NUL character"),
        ("int", {"N": "9223372036854775808"}, "is not a whole number of 64 bits"),
        ("int", {"N": "1.5"}, "x 1.5 is not a whole number"),
        ("json", {"N": "1E+999999999"}, "beyond what DynamoDB has as a number: 1E+999999999"),
        ("int", {"N": "NaN"}, "'NaN' is not a finite number"),
        ("int", {"S": "1"}, "x is a S, not a N"),
        ("decimal", {"N": "0.001"}, "x 0.001 does not fit 38 digits before and 0 behind"),
        ("decimals", {"NS": ["1", "0.5"]}, "x 0.5 does not fit"),
        ("bool", {"S": "yes"}, "x is a S, not a BOOL"),
        ("date", {"S": "2023-02-29"}, "'2023-02-29' is not a date"),
        ("date", {"S": "20240229"}, "'20240229' is not a date"),
        ("timestamp", {"S": "2024-02-29T00:00:00.1234567Z"}, "is not a moment"),
        ("timestamp", {"S": "0001-01-01T00:00:00+01:00"}, "is not a moment"),
        ("timestamp", {"S": "soon"}, "'soon' is not a moment"),
        ("date", {"S": "x" * 999}, f"x '{'x' * 40}' is not a date"),
        ("epoch", {"N": "1E+30"}, "is not seconds since 1970"),
        ("epoch", {"N": "0.0000001"}, "is not seconds since 1970"),
        ("texts", {"NS": ["1"]}, "x is a NS, not a SS or L"),
        ("texts", {"L": [{"N": "1"}]}, "x is a N, not a S"),
        ("binary", {"B": "%"}, "x is not base64"),
        ("json", {"X": 1}, "x is nothing that DynamoDB has as 'X'"),
        ("json", {"L": [{"S": 1}]}, "x is nothing that DynamoDB has as 'S'"),
        ("int", {"N": 1}, "x is nothing that DynamoDB has as 'N'"),
        ("texts", {"SS": [1, "a"]}, "x is nothing that DynamoDB has as 'SS'"),
        ("text", {"S": "a", "N": "1"}, "is not one typed value"),
    ],
)
def test_what_does_not_fit_is_refused_with_path_and_reason(
    kind: ItemKind, attribute: Attribute, reason: str
) -> None:
    with pytest.raises(Unfit) as refused:
        cell({"x": attribute}, ItemColumn(name="x", kind=kind))
    assert reason in str(refused.value)


def test_a_path_through_the_wrong_type_is_refused_even_where_nothing_is_required() -> None:
    column = ItemColumn(name="city", path=("customer", "city"))
    with pytest.raises(Unfit, match="customer is a S, not a M"):
        cell({"customer": {"S": "x"}}, column)

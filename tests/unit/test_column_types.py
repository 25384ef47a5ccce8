from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from contracts.column_types import ColumnType, DeclaredTypes, declared_types
from services.processor.column_types import KnownTypes, join, join_all, merge

TYPES = st.sampled_from(get_args(ColumnType))
REGISTRIES = st.dictionaries(st.sampled_from(["RCON0010", "RCON0020", "RIAD4107"]), TYPES)


@given(TYPES, TYPES)
def test_joining_does_not_depend_on_who_comes_first(left: ColumnType, right: ColumnType) -> None:
    assert join(left, right) == join(right, left)


@given(TYPES, TYPES, TYPES)
def test_joining_does_not_depend_on_the_grouping(
    first: ColumnType, second: ColumnType, third: ColumnType
) -> None:
    assert join(join(first, second), third) == join(first, join(second, third))


@given(TYPES)
def test_joining_a_type_with_itself_changes_nothing(kind: ColumnType) -> None:
    assert join(kind, kind) == kind


@given(TYPES, TYPES)
def test_a_join_is_never_narrower_than_either(left: ColumnType, right: ColumnType) -> None:
    joined = join(left, right)
    assert join(joined, left) == joined
    assert join(joined, right) == joined


@given(TYPES)
def test_unknown_may_become_anything_and_text_holds_all(kind: ColumnType) -> None:
    assert join("unknown", kind) == kind
    assert join("text", kind) == "text"


def test_numbers_widen_in_order_and_dates_share_only_text_with_them() -> None:
    assert join_all(["bool", "int"]) == "int"
    assert join_all(["int", "float", "bool"]) == "float"
    assert join_all(["date", "int"]) == "text"
    assert join_all(["date", "timestamp"]) == "text"
    assert join_all([]) == "unknown"


@given(REGISTRIES, REGISTRIES)
def test_registries_merge_to_the_same_in_either_order(
    left: dict[str, ColumnType], right: dict[str, ColumnType]
) -> None:
    assert merge(left, right) == merge(right, left)


def test_what_was_learnt_widens_what_was_declared() -> None:
    known = KnownTypes(DeclaredTypes(by_code={"RCON0010": "int"}), {"RCON0010": "float"})
    assert known.get("RCON0010") == "float"
    assert known.get("RCON9999") == "unknown"


def test_call_reports_declare_amounts_ratios_truths_dates_and_texts() -> None:
    declared = declared_types("call_reports")
    codes = ["RCON2170", "RCFA7206", "RCON7206", "RCON6979", "RCON9999", "RIAD9106", "RCON8678"]
    kinds = [declared.get(code) for code in codes]
    assert kinds == ["int", "float", "float", "bool", "date", "date", "text"]


def test_a_series_may_be_declared_as_a_whole() -> None:
    declared = declared_types("call_reports")
    assert declared.get("TEXT9876") == "text"
    assert declared.get("RSSD9050") == "text"
    assert declared.get("RIAD4769") == "bool"


def test_a_dataset_without_declared_types_has_none() -> None:
    assert declared_types("unheard_of") == DeclaredTypes()

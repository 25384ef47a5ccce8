from datetime import date, datetime
from decimal import Decimal

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from contracts.column_types import ColumnType
from services.processor.cdr_values import (
    POLARS_TYPES,
    Typed,
    cell_types,
    convert,
    infer_types,
    take_confidential,
)
from services.processor.column_types import join_all

INT64 = st.integers(-(2**63), 2**63 - 1)


def column(cells: list[str | None]) -> pl.DataFrame:
    return pl.DataFrame({"C": pl.Series(cells, dtype=pl.String)})


def typed(cells: list[str | None], kind: ColumnType) -> Typed:
    return convert(column(cells), {"C": kind}, {})


def values(cells: list[str | None], kind: ColumnType) -> list[object]:
    found = typed(cells, kind)
    assert found.misfits == ()
    assert found.widened == {}
    return found.frame["C"].to_list()


@given(st.lists(st.none() | INT64, max_size=20))
def test_whole_numbers_keep_their_value(numbers: list[int | None]) -> None:
    cells = [None if number is None else str(number) for number in numbers]
    assert values(cells, "int") == numbers


@given(st.decimals(-1000, 1000, places=6))
def test_a_ratio_is_the_double_nearest_to_what_is_written(ratio: Decimal) -> None:
    assert values([f"{ratio:f}"], "float") == [float(ratio)]


@given(st.decimals(-1000, 1000, places=4))
def test_a_percentage_and_its_fraction_are_the_same_double(percent: Decimal) -> None:
    fraction = percent.scaleb(-2)
    as_percent, as_fraction = values([f"{percent:f}%", f"{fraction:f}"], "float")
    assert as_percent == as_fraction == float(fraction)


def test_a_known_percentage_becomes_a_known_fraction() -> None:
    assert values(["10.0059%", "0.093841", "0", None], "float") == [0.100059, 0.093841, 0.0, None]


def test_truths_are_read_in_any_case() -> None:
    assert values(["true", "TRUE", "false", "FALSE", None], "bool") == [
        True,
        True,
        False,
        False,
        None,
    ]


def test_dates_are_eight_digits_and_zeros_mean_none() -> None:
    cells = ["20191231", "0", "00000000", None]
    assert values(cells, "date") == [date(2019, 12, 31), None, None, None]


def test_timestamps_have_no_zone() -> None:
    assert values(["2013-04-20T08:58:24"], "timestamp") == [datetime(2013, 4, 20, 8, 58, 24)]  # noqa: DTZ001  # that is the point


def test_text_stays_as_it_is() -> None:
    cells = ["N/A", "0.00000000", "007", " padded ", "12/31/2013", "1a", None]
    assert values(cells, "text") == cells


def test_stand_ins_in_text_become_the_line_breaks_they_stand_for() -> None:
    found = convert(column(["one\x1ftwo"]), {"C": "text"}, {"\x1f": "\n"})
    assert found.frame["C"].to_list() == ["one\ntwo"]


def test_a_column_that_never_had_a_value_is_an_empty_integer_column() -> None:
    found = typed([None, None], "unknown")
    assert found.frame.schema["C"] == pl.Int64
    assert found.frame["C"].to_list() == [None, None]


def test_a_ratio_in_an_integer_column_widens_it() -> None:
    found = typed(["1", "2.5", "3%"], "int")
    assert found.widened == {"C": "float"}
    assert found.frame["C"].to_list() == [1.0, 2.5, 0.03]
    assert found.misfits == ()


def test_a_number_in_a_truth_column_widens_it() -> None:
    found = typed(["true", "7", "false"], "bool")
    assert found.widened == {"C": "int"}
    assert found.frame["C"].to_list() == [1, 7, 0]


def test_a_truth_in_a_number_column_is_one_or_zero() -> None:
    assert values(["5", "true", "FALSE"], "int") == [5, 1, 0]


def test_a_cell_that_would_need_text_is_a_misfit_and_changes_no_type() -> None:
    found = typed(["1", "n/a", None, "3"], "int")
    assert found.widened == {}
    assert found.frame["C"].to_list() == [1, None, None, 3]
    (misfit,) = found.misfits
    assert (misfit.column, misfit.kind, misfit.rows, misfit.values) == ("C", "int", [1], ["n/a"])


def test_misfits_do_not_stop_a_column_from_widening() -> None:
    found = typed(["1", "n/a", "2.5"], "int")
    assert found.frame["C"].to_list() == [1.0, None, 2.5]
    assert [misfit.rows for misfit in found.misfits] == [[1]]


def test_a_number_beyond_64_bits_is_a_misfit() -> None:
    found = typed(["9223372036854775807", "9223372036854775808"], "int")
    assert found.widened == {}
    assert found.misfits[0].values == ["9223372036854775808"]


def test_not_a_number_and_infinity_are_no_ratios() -> None:
    found = typed(["nan", "inf", "1e999", "0.5"], "float")
    assert found.misfits[0].rows == [0, 1, 2]


def test_a_date_that_is_none_is_a_misfit() -> None:
    found = typed(["20130231", "2013033", "2013-03-31", " 20130331", "20130331"], "date")
    assert found.misfits[0].rows == [0, 1, 2, 3]
    assert found.widened == {}


def test_the_narrowest_type_of_a_column_holds_all_its_cells() -> None:
    frame = pl.DataFrame(
        {
            "EMPTY": [None, None],
            "TRUTH": ["true", None],
            "WHOLE": ["0", "-12"],
            "RATIO": ["1", "0.5"],
            "PERCENT": ["10.0059%", None],
            "PADDED": ["12", "0630"],
            "MIXED": ["1a", "2"],
            "HUGE": ["9223372036854775808", "1"],
            "TRUTH_AND_NUMBER": ["true", "2"],
            "DAY": ["20130331", "20130630"],
        },
        schema_overrides={"EMPTY": pl.String},
    )
    assert infer_types(frame) == {
        "EMPTY": "unknown",
        "TRUTH": "bool",
        "WHOLE": "int",
        "RATIO": "float",
        "PERCENT": "float",
        "PADDED": "text",
        "MIXED": "text",
        "HUGE": "text",
        "TRUTH_AND_NUMBER": "int",
        "DAY": "int",
    }


CELLS = st.one_of(
    st.none(),
    st.integers(-(10**20), 10**20).map(str),
    st.decimals(-100, 100, places=4).map("{:f}".format),
    st.decimals(0, 100, places=2).map("{:f}%".format),
    st.sampled_from(["true", "FALSE", "007", "n/a", "1e5", "nan", "+5", "-0", ".5", "5."]),
)


@given(st.lists(CELLS, min_size=1, max_size=12))
def test_what_is_inferred_holds_every_cell(cells: list[str | None]) -> None:
    kind = infer_types(column(cells))["C"]
    found = typed(cells, kind)
    assert found.misfits == ()
    assert found.widened == {}
    assert found.frame.schema["C"] == POLARS_TYPES[kind]


@given(st.lists(CELLS, max_size=8), st.lists(CELLS, max_size=8))
def test_inferring_two_quarters_together_is_joining_what_each_shows(
    first: list[str | None], second: list[str | None]
) -> None:
    together = infer_types(column([*first, *second]))["C"]
    assert together == join_all(
        kind for cells in (first, second) for kind in cell_types(column(cells)["C"])
    )


@given(st.lists(st.tuples(*[st.sampled_from([None, "CONF", "5", "conf", "CONF "])] * 3)))
def test_confidential_cells_are_emptied_and_listed(rows: list[tuple[str | None, ...]]) -> None:
    schema = dict.fromkeys(("RCON1", "RCON2", "TEXT3"), pl.String())
    text, listed = take_confidential(pl.DataFrame(rows, schema=schema, orient="row"), len(rows))
    assert text.rows() == [tuple(None if cell == "CONF" else cell for cell in row) for row in rows]
    by_name = [dict(zip(schema, row, strict=True)) for row in rows]
    expected = [[name.lower() for name in schema if row[name] == "CONF"] for row in by_name]
    assert listed.to_list() == [names or None for names in expected]

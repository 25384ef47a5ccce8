"""Star schema, pure: whatever the order and grouping of packets, nothing is lost or stale."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from contracts.datasets.totesys import DATASET
from contracts.star_schema import StarSchema
from services.collector.sources.row_versions import ranges_of
from services.processor.quarantine import KEYED_SCHEMA
from services.processor.star_cells import (
    PACKET,
    PacketRows,
    known_values,
    read_parts,
    row_schema,
)
from services.processor.star_repeats import repeated_keys
from services.processor.star_state import StarState, advance
from services.processor.star_store import Applied
from services.processor.star_tables import days_between, source_named
from tests.star_packets import DIMENSIONS, row

if DATASET.star is None:
    raise TypeError("totesys has a star schema")
STAR: StarSchema = DATASET.star

# One packet: its table, and per row the key and what changes in it.
Change = tuple[str, list[tuple[int, dict[str, Any]]]]


@cache
def rows_of(table: str, packet_id: int, lines: tuple[str, ...]) -> PacketRows:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{table}_{packet_id}.jsonl"
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        known = known_values(STAR, table)
        parts = list(read_parts(path, source_named(STAR, table), packet_id, known))
    if not parts:
        empty = pl.DataFrame(schema=row_schema(source_named(STAR, table)))
        return PacketRows(empty, pl.DataFrame(schema=KEYED_SCHEMA))
    return PacketRows(
        pl.concat([part.rows for part in parts]), pl.concat([part.misfits for part in parts])
    )


def misfits(table: str, *lines: str) -> list[tuple[int, str, str]]:
    found = rows_of(table, 1, lines).misfits
    return list(zip(found["row_number"], found["rule"], found["column"], strict=True))


@pytest.mark.parametrize(
    ("line", "rule", "column"),
    [
        ("not json", "not_json", "sales_order_id"),
        ("[1, 2]", "not_json", "sales_order_id"),
        (row("sales_order", staff_id=None), "missing", "staff_id"),
        (row("sales_order", staff_id="x"), "wrong_type", "staff_id"),
        (row("sales_order", staff_id=1.5), "wrong_type", "staff_id"),
        (row("sales_order", unit_price="3.945"), "wrong_type", "unit_price"),
        (row("sales_order", unit_price="NaN"), "wrong_type", "unit_price"),
        (row("sales_order", agreed_payment_date="2022-02-30"), "wrong_type", "agreed_payment_date"),
        (row("sales_order", created_at="yesterday"), "wrong_type", "created_at"),
    ],
)
def test_a_row_that_does_not_fit_names_rule_and_column(line: str, rule: str, column: str) -> None:
    assert misfits("sales_order", row("sales_order"), line) == [(2, rule, column)]


def test_a_key_that_comes_twice_in_a_packet_is_quarantined_once() -> None:
    lines = (row("staff", 1), row("staff", 2), row("staff", 1))
    assert misfits("staff", *lines) == [(3, "duplicate_key", "staff_id")]


@given(
    st.lists(st.tuples(st.integers(1, 6), st.sampled_from(["ok", "bad", "no json"])), max_size=20)
)
@settings(deadline=None, max_examples=40)
def test_a_key_that_comes_again_is_quarantined_however_far_behind(
    rows: list[tuple[int, str]],
) -> None:
    departments = {"ok": 1, "bad": "none"}
    lines = [
        row("staff", key, department_id=departments[what]) if what in departments else what
        for key, what in rows
    ]
    source = source_named(STAR, "staff")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "staff_1.jsonl"
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        parts = list(read_parts(path, source, 1, {}, part_bytes=1))
        assert [one.name for one in Path(folder).iterdir()] == [path.name]

    assert len(parts) == len(lines)
    first: dict[int, int] = {}
    for number, (key, what) in enumerate(rows, start=1):
        if what == "ok":
            first.setdefault(key, number)
    kept = {one["staff_id"]: one["row_number"] for part in parts for one in part.rows.to_dicts()}
    assert kept == first
    again = [
        one["row_number"]
        for part in parts
        for one in part.misfits.to_dicts()
        if one["rule"] == "duplicate_key"
    ]
    assert again == [
        number
        for number, (key, what) in enumerate(rows, start=1)
        if what == "ok" and first[key] != number
    ]


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3))), st.integers(1, 9))
@settings(deadline=None, max_examples=40)
def test_keys_that_come_again_are_found_in_any_number_of_shares(
    parts: list[list[int]], shares: int
) -> None:
    counted = Counter(key for part in parts for key in part)
    with TemporaryDirectory() as folder:
        keys = (pl.Series(part, dtype=pl.Int64()) for part in parts)
        found = repeated_keys(keys, shares - 1, Path(folder), share_bytes=1)
    assert sorted(found) == sorted(key for key, times in counted.items() if times > 1)


def test_values_are_taken_exactly() -> None:
    text = '"quoted", comma, back\\slash, new\nline, tab\t, é'
    line = row("payment", paid=True, payment_amount=10_000_000.01)
    paid = rows_of("payment", 1, (line,)).rows.to_dicts()[0]
    assert (str(paid["payment_amount"]), paid["paid"]) == ("10000000.01", True)
    name = rows_of("design", 1, (row("design", design_name=text),)).rows["design_name"][0]
    assert name == text


@given(st.lists(st.sampled_from([row("staff"), "x", "{}", row("staff", 2), ""]), max_size=12))
@settings(deadline=None, max_examples=25)
def test_rows_in_are_rows_out_plus_misfits(lines: list[str]) -> None:
    read = rows_of("staff", 1, tuple(lines))
    assert read.rows.height + read.misfits.height == len(lines)


TABLES = ("staff", "department", "counterparty", "address", "design", "sales_order", "payment")
REFERENCES = {
    "staff": "department_id",
    "counterparty": "legal_address_id",
    "sales_order": "staff_id",
    "payment": "counterparty_id",
}


@st.composite
def histories(draw: st.DrawFn) -> list[Change]:
    """Packets in the order the source made them; references may point to rows that come later."""
    packets: list[Change] = []
    for _ in range(draw(st.integers(1, 8))):
        table = draw(st.sampled_from(TABLES))
        keys = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3, unique=True))
        changes = []
        for key in keys:
            changed: dict[str, Any] = {}
            if table in REFERENCES:
                changed[REFERENCES[table]] = draw(st.integers(1, 3))
            if table == "department":
                changed["location"] = draw(st.sampled_from(["Leeds", "York", None]))
            if table == "design":
                changed["design_name"] = draw(st.sampled_from(["Bag", "Hat", "Shoe"]))
            changes.append((key, changed))
        packets.append((table, changes))
    assume(not loses_its_parent(packets))
    return packets


def loses_its_parent(history: list[Change]) -> bool:
    """Say whether a row came to point to nothing: no source with foreign keys lets it."""
    for child, parent in (("staff", "department"), ("counterparty", "address")):
        present = last_rows(history, parent).keys()
        pointed: dict[int, list[bool]] = {}
        for table, changes in history:
            for key, one in changes if table == child else ():
                pointed.setdefault(key, []).append(one[REFERENCES[child]] in present)
        if any(any(found) and not found[-1] for found in pointed.values()):
            return True
    return False


@given(histories(), st.randoms(use_true_random=False), st.integers(1, 4))
@settings(deadline=None, max_examples=15)
def test_any_order_and_grouping_ends_like_one_step(
    history: list[Change], random: Any, size: int
) -> None:
    packets = numbered(history)
    expected = apply([packets])
    random.shuffle(packets)
    found = apply([packets[start : start + size] for start in range(0, len(packets), size)])
    assert found == expected


@given(histories())
@settings(deadline=None, max_examples=15)
def test_the_tables_are_what_a_plain_reading_of_the_history_says(history: list[Change]) -> None:
    merged = apply([[packet] for packet in numbered(history)])
    staff, departments = last_rows(history, "staff"), last_rows(history, "department")
    assert merged["dim_staff"] == {
        key: departments[one["department_id"]].get("location", "Leeds")
        for key, one in staff.items()
        if one["department_id"] in departments
    }
    designs = last_rows(history, "design")
    assert merged["dim_design"] == {key: one["design_name"] for key, one in designs.items()}
    orders = [
        key
        for table, changes in history
        if table == "sales_order"
        for key, one in changes
        if one["staff_id"] in merged["dim_staff"] and merged["dim_counterparty"].get(1)
    ]
    orders = orders if has_location(history) and 1 in designs else []
    assert merged["fact_sales_order"] == sorted(orders)


def has_location(history: list[Change]) -> bool:
    return 1 in last_rows(history, "address")


def last_rows(history: list[Change], table: str) -> dict[int, dict[str, Any]]:
    return {key: one for name, changes in history if name == table for key, one in changes}


def numbered(history: list[Change]) -> list[tuple[str, PacketRows]]:
    """Read the packets, with all dimensions that the history does not vary in front."""
    counts: dict[str, int] = {}
    fixed: list[Change] = [(table, [(1, {})]) for table in DIMENSIONS if table not in TABLES]
    packets = []
    for table, changes in fixed + history:
        counts[table] = counts.get(table, 0) + 1
        lines = tuple(row(table, key, **changed) for key, changed in changes)
        packets.append((table, rows_of(table, counts[table], lines)))
    return packets


@dataclass
class Emitted:
    """The rows that would be loaded, each with its table."""

    rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, table: str, frame: pl.DataFrame) -> None:
        self.rows += [(table, one) for one in frame.to_dicts()]


def apply(groups: Sequence[Sequence[tuple[str, PacketRows]]]) -> Mapping[str, Any]:
    """What the warehouse holds after the groups: dimensions merged, facts appended."""
    state = StarState.empty(STAR)
    merged: dict[str, Any] = {"dim_staff": {}, "dim_counterparty": {}, "dim_design": {}}
    merged |= {"fact_sales_order": [], "fact_payment": []}
    serials: list[int] = []
    for group in groups:
        by_table: dict[str, dict[int, list[PacketRows]]] = {}
        for table, read in group:
            by_table.setdefault(table, {})[read.rows[PACKET][0]] = [read]
        emitted = Emitted()
        state = advance(STAR, state, by_table, emitted).state
        tables = emitted.rows
        for one in rows_in(tables, "dim_staff"):
            merged["dim_staff"][one["staff_id"]] = one["location"]
        for one in rows_in(tables, "dim_counterparty"):
            merged["dim_counterparty"][one["counterparty_id"]] = one["counterparty_legal_city"]
        designs = [one["design_id"] for one in rows_in(tables, "dim_design")]
        assert len(designs) == len({*designs})
        for one in rows_in(tables, "dim_design"):
            merged["dim_design"][one["design_id"]] = one["design_name"]
        for one in rows_in(tables, "fact_sales_order"):
            merged["fact_sales_order"].append(one["sales_order_id"])
            serials.append(one["sales_record_id"])
        merged["fact_payment"] += [one["payment_id"] for one in rows_in(tables, "fact_payment")]
    assert serials == list(range(1, len(serials) + 1))
    return {name: sorted(kept) if isinstance(kept, list) else kept for name, kept in merged.items()}


def rows_in(tables: list[tuple[str, dict[str, Any]]], wanted: str) -> list[dict[str, Any]]:
    return [one for name, one in tables if name == wanted]


def test_the_calendar_counts_monday_as_day_one_and_only_grows() -> None:
    days = days_between(
        (date(2024, 2, 28), date(2024, 3, 4)), (date(2024, 2, 29), date(2024, 3, 3))
    )
    assert days.select("date_id", "day_of_week", "day_name", "month_name", "quarter").rows() == [
        (date(2024, 2, 28), 3, "Wednesday", "February", 1),
        (date(2024, 3, 4), 1, "Monday", "March", 1),
    ]


@given(st.sets(st.integers(1, 60)), st.randoms(use_true_random=False))
def test_applied_packets_are_known_in_any_order(ids: set[int], random: Any) -> None:
    order = sorted(ids)
    random.shuffle(order)
    applied = Applied()
    for each in order:
        applied = applied.plus(each)
    assert {each for each in range(1, 61) if applied.has(each)} == ids
    assert len(applied.beyond) <= len(ids)


@given(st.sets(st.integers(0, 200)))
def test_ranges_hold_exactly_the_ids_they_were_made_of(ids: set[int]) -> None:
    ranges = ranges_of(sorted(ids))
    assert {each for first, last in ranges for each in range(first, last + 1)} == ids
    assert all(later[0] > earlier[1] + 1 for earlier, later in pairwise(ranges))

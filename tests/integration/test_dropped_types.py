"""What the processor lets pass as a type, PostgreSQL casts to that type without fail."""

from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.drop_table import DropColumn, DroppedKind, DropTable
from services.loader.postgres import Connection
from services.processor.delimited_rows import problems_of

CASTS: dict[DroppedKind, str] = {
    "int": "bigint",
    "decimal": "numeric",
    "date": "date",
    "timestamp": "timestamptz",
}
SHAPES: dict[DroppedKind, str] = {
    "int": r"[ \t\u00a0]{0,2}[+-]?\d{1,19}[ \u2003\n]{0,2}",
    "decimal": r" ?[+-]?\d{0,3}\.?\d{0,3}(e\d)? ?",
    "date": r" ?[0-9]{1,5}-[01][0-9]-[0-3][0-9] ?",
    "timestamp": (
        r" ?[0-2][0-9]{3}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]"
        r"(\.[0-9]{1,7})?(Z|z|[+-][0-2][0-9]:?[0-6][0-9])? ?"
    ),
}


def passed(kind: DroppedKind, cells: Sequence[str]) -> list[str]:
    table = DropTable(name="t", patterns=("t",), columns=(DropColumn(name="c", kind=kind),))
    found = problems_of(pl.DataFrame({"c": cells}, schema={"c": pl.String}), table)
    return [cell for cell, wrong in zip(cells, found, strict=True) if wrong is None]


@pytest.mark.parametrize("kind", CASTS)
async def test_what_passes_is_cast(ledger_connection: Connection, kind: DroppedKind) -> None:
    tried: list[str] = []

    @settings(
        max_examples=25, derandomize=True, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.lists(st.from_regex(SHAPES[kind], fullmatch=True), min_size=20, max_size=60))
    def collect(cells: list[str]) -> None:
        tried.extend(cells)

    collect()
    good = passed(kind, tried)
    assert 0 < len(good) < len(tried)
    found: list[Any] = await ledger_connection.fetch(
        f"SELECT each::{CASTS[kind]} FROM unnest($1::text[]) AS each",  # noqa: S608  # our own types
        good,
    )
    assert len(found) == len(good)

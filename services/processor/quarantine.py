"""Records that do not fit: kept with where they were, which rule they break, and their text."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import polars as pl

Rule = Literal[
    "field_count",
    "nul_byte",
    "idrssd_not_integer",
    "duplicate_idrssd",
    "wrong_type",
    "sibling_quarantined",
]

SCHEMA = pl.Schema(
    {
        "file": pl.String(),
        "row_number": pl.Int64(),
        "idrssd": pl.Int64(),
        "rule": pl.String(),
        "column": pl.String(),
        "reason": pl.String(),
        "record": pl.String(),
    }
)

# Of records that have a key of their own, in words: `document_id=7, version=2`.
KEYED_SCHEMA = pl.Schema(
    {
        "file": pl.String(),
        "row_number": pl.Int64(),
        "key": pl.String(),
        "rule": pl.String(),
        "column": pl.String(),
        "reason": pl.String(),
        "record": pl.String(),
    }
)


@dataclass(frozen=True)
class Misfit:
    """One record kept out. `row_number` counts the file's data records from 1."""

    file: str
    row_number: int
    idrssd: int | None
    rule: Rule
    column: str | None
    reason: str
    record: str


def misfit_frame(misfits: Iterable[Misfit]) -> pl.DataFrame:
    """Return one row per misfit, by file and row number."""
    ordered = sorted(misfits, key=lambda misfit: (misfit.file, misfit.row_number))
    return pl.DataFrame([vars(misfit) for misfit in ordered], schema=SCHEMA)

"""The panel of reporters (POR): who the banks are. Its columns have names, not codes."""

import re

import polars as pl

from contracts.column_types import ColumnType

# `0` in these means none; the one bank without a state (in Micronesia) has `0 `.
_ZERO_IS_NONE = frozenset(
    {
        "fdic_certificate_number",
        "occ_charter_number",
        "ots_docket_number",
        "primary_aba_routing_number",
        "financial_institution_state",
    }
)
_TYPES: dict[str, ColumnType] = {
    "fdic_certificate_number": "int",
    "occ_charter_number": "int",
    "ots_docket_number": "int",
    # Eastern time, written without zone.
    "last_date_time_submission_updated_on": "timestamp",
}
_ROUTING_NUMBER = "primary_aba_routing_number"
_ROUTING_DIGITS = 9


def panel_name(header: str) -> str:
    """Return `fdic_certificate_number` for `FDIC Certificate Number`."""
    return re.sub(r"[^a-z0-9]+", "_", header.lower()).strip("_")


def panel_type(name: str) -> ColumnType:
    """Return a panel column's type; what is not declared is text."""
    return _TYPES.get(name, "text")


def tidy_panel(text: pl.DataFrame) -> pl.DataFrame:
    """Trim trailing spaces, empty what means none, give routing numbers their lost zeros back."""
    return text.select(_tidy(header) for header in text.columns)


def _tidy(header: str) -> pl.Expr:
    name = panel_name(header)
    cell = pl.col(header).str.strip_chars_end(" ")
    none = ["", "0"] if name in _ZERO_IS_NONE else [""]
    cell = pl.when(~cell.is_in(none)).then(cell).alias(header)
    return cell.str.zfill(_ROUTING_DIGITS) if name == _ROUTING_NUMBER else cell

"""What a cell means: text to number, ratio, date or truth. Rules act on whole columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import polars as pl

from contracts.column_types import ColumnType
from services.processor.column_types import NUMERIC, Types, join, join_all

_CONFIDENTIAL = "CONF"
# How RIAD9106 and its like write that there is no date.
_NO_DATE = ("0", "00000000")

# A column whose cells were all empty so far is stored as an integer without values.
POLARS_TYPES: Mapping[ColumnType, pl.DataType] = {
    "unknown": pl.Int64(),
    "bool": pl.Boolean(),
    "int": pl.Int64(),
    "float": pl.Float64(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us"),
    "text": pl.String(),
}


@dataclass(frozen=True)
class Misfits:
    """Cells of one column that its type cannot hold; `rows` are places in the frame, from 0."""

    column: str
    kind: ColumnType
    rows: list[int]
    values: list[str]


@dataclass(frozen=True)
class Typed:
    """The converted columns, the columns that had to widen, and the cells that do not fit."""

    frame: pl.DataFrame
    widened: Types
    misfits: tuple[Misfits, ...]


def take_confidential(text: pl.DataFrame, rows: int) -> tuple[pl.DataFrame, pl.Series]:
    """Empty the cells that say CONF, and list their columns, lower-case, row by row.

    A row without any has null instead of a list, so that `is not null` finds the others.
    """
    found = text.select(pl.all().eq(_CONFIDENTIAL).any())
    columns = [name for name in text.columns if found.item(0, name)]
    if not columns:
        return text, pl.Series("confidential", [None] * rows, dtype=pl.List(pl.String))
    names = [pl.when(pl.col(name) == _CONFIDENTIAL).then(pl.lit(name.lower())) for name in columns]
    listed = pl.concat_list(names).list.drop_nulls()
    lists = text.select(pl.when(listed.list.len() > 0).then(listed).alias("confidential"))
    emptied = [
        pl.when(pl.col(name) != _CONFIDENTIAL).then(pl.col(name)).alias(name) for name in columns
    ]
    return text.with_columns(emptied), lists.to_series()


def infer_types(text: pl.DataFrame) -> dict[str, ColumnType]:
    """Return the narrowest type of each column that holds all its cells."""
    as_int = text.select(pl.all().cast(pl.Int64, strict=False))
    padded = text.select(_zero_padded(pl.all()).any())
    inferred: dict[str, ColumnType] = {}
    for name in text.columns:
        cells = text[name]
        if cells.null_count() == cells.len():
            inferred[name] = "unknown"
        elif as_int[name].null_count() == cells.null_count() and not padded.item(0, name):
            inferred[name] = "int"
        else:
            inferred[name] = join_all(cell_types(cells))
    return inferred


def cell_types(cells: pl.Series) -> set[ColumnType]:
    """Return the narrowest types of the cells; a zero before other digits is kept, so it is text.

    Dates are never recognised: eight digits may as well be dollars.
    """
    cell = pl.col("cell")
    whole = cell.str.contains(r"^[+-]?[0-9]+$")
    kind = (
        pl.when(_truth(cell).is_not_null())
        .then(pl.lit("bool"))
        .when(whole & cell.cast(pl.Int64, strict=False).is_not_null() & ~_zero_padded(cell))
        .then(pl.lit("int"))
        .when(~whole & _ratio(cell).is_not_null())
        .then(pl.lit("float"))
        .otherwise(pl.lit("text"))
    )
    values = cells.drop_nulls().unique().alias("cell").to_frame()
    return set(values.select(kind.unique()).to_series())


def convert(text: pl.DataFrame, types: Types, stand_ins: Mapping[str, str]) -> Typed:
    """Give each column its type.

    A numeric column widens (bool < int < float) when a cell needs it; a cell that would need text
    in a column of another type, or a date that is none, is a misfit and null in the result.
    """
    dates = [name for name in text.columns if types[name] == "date"]
    text = text.with_columns(
        pl.when(~pl.col(name).is_in(_NO_DATE)).then(pl.col(name)).alias(name) for name in dates
    )
    typed = text.select(
        _as_type(pl.col(name), types[name], stand_ins).alias(name) for name in text.columns
    )
    widened: dict[str, ColumnType] = {}
    misfits: list[Misfits] = []
    lost = zip(text.columns, text.null_count().row(0), typed.null_count().row(0), strict=True)
    for name in [name for name, before, after in lost if after > before]:
        kind = _wide_enough(types[name], text[name].filter(typed[name].is_null()))
        if kind in NUMERIC:
            typed = typed.with_columns(text.select(_as_number(pl.col(name), kind).alias(name)))
        if kind != types[name]:
            widened[name] = kind
        bad = (text[name].is_not_null() & typed[name].is_null()).arg_true()
        if bad.len():
            misfits.append(Misfits(name, kind, bad.to_list(), text[name].gather(bad).to_list()))
    return Typed(typed, widened, tuple(misfits))


def _wide_enough(kind: ColumnType, cells: pl.Series) -> ColumnType:
    if kind not in NUMERIC:
        return kind
    return reduce(join, cell_types(cells) & NUMERIC, kind)


def _as_type(cell: pl.Expr, kind: ColumnType, stand_ins: Mapping[str, str]) -> pl.Expr:
    match kind:
        case "bool":
            return _truth(cell)
        case "float":
            return _ratio(cell)
        case "date":
            # The parser alone would take 2013033 for the 3rd of March.
            digits = cell.str.contains(r"^[0-9]{8}$")
            return pl.when(digits).then(cell.str.to_date("%Y%m%d", strict=False))
        case "timestamp":
            return cell.str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False, time_unit="us")
        case "text":
            for stand_in, original in stand_ins.items():
                cell = cell.str.replace_all(stand_in, original, literal=True)
            return cell
        case _:
            return cell.cast(pl.Int64, strict=False)


def _as_number(cell: pl.Expr, kind: ColumnType) -> pl.Expr:
    """Convert to a numeric type that may also have to hold truths: 1 and 0."""
    if kind == "bool":
        return _truth(cell)
    number = _as_type(cell, kind, {})
    return pl.coalesce(number, _truth(cell).cast(POLARS_TYPES[kind]))


def _truth(cell: pl.Expr) -> pl.Expr:
    lower = cell.str.to_lowercase()
    return pl.when(lower == "true").then(True).when(lower == "false").then(False)


def _ratio(cell: pl.Expr) -> pl.Expr:
    """Parse `0.100059`, and `10.0059%` as the same double: only the exponent moves."""
    number = cell.str.replace("%$", "e-2").cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def _zero_padded(cell: pl.Expr) -> pl.Expr:
    return cell.str.contains("^0[0-9]+$")

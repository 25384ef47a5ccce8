"""Delimited text as rows that keep it as it is, with what is wrong in them written beside it."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from contracts import CollectedFile
from contracts.drop_table import DropColumn, DroppedFile, DroppedKind, DropTable
from services.processor.clean_table import Part
from services.processor.quarantine import Misfit, misfit_frame
from shared.errors import RowsUnaccounted

# A part ends when it has so many rows or characters, so that wide rows do not fill memory either.
_PART_ROWS = 25_000
_PART_CHARACTERS = 8 * 1024 * 1024
# What passes here PostgreSQL casts without fail; not all numbers of 19 digits fit its bigint.
_INT = r"^ *[+-]?[0-9]{1,18} *$"
_DECIMAL = r"^ *[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+) *$"
_DATE = r"^ *[1-9][0-9]{3}-[0-9]{2}-[0-9]{2} *$"
# PostgreSQL knows no zone farther than this from UTC.
_TIMESTAMP = (
    r"^ *[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"(Z|[+-](0[0-9]|1[0-5]):?[0-5][0-9])? *$"
)


def _looks_like(pattern: str) -> Callable[[pl.Expr], pl.Expr]:
    return lambda cells: cells.str.contains(pattern)


def _is_date(cells: pl.Expr) -> pl.Expr:
    day = cells.str.strip_chars().str.to_date("%Y-%m-%d", strict=False)
    return cells.str.contains(_DATE) & day.is_not_null()


def _is_timestamp(cells: pl.Expr) -> pl.Expr:
    plain = cells.str.strip_chars().str.slice(0, 19).str.replace("T", " ", literal=True)
    moment = plain.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False)
    return cells.str.contains(_TIMESTAMP) & moment.is_not_null()


_FITS: Mapping[DroppedKind, Callable[[pl.Expr], pl.Expr]] = {
    "int": _looks_like(_INT),
    "decimal": _looks_like(_DECIMAL),
    "date": _is_date,
    "timestamp": _is_timestamp,
}


def read_parts(
    file: CollectedFile, dropped: DroppedFile, path: Path, table: DropTable
) -> Iterator[Part]:
    """Yield a file's records as text columns in the declared order; memory holds one part.

    Columns after them: `problems` (null where there are none), `filename`, `file_version`,
    `row_number` (of the record, from 1, header and empty lines not counted), `dropped_at`.

    Raises:
        RowsUnaccounted: there are not as many records as the collector counted.
    """
    done = 0
    with path.open(encoding="utf-8-sig", newline="") as text:
        records = (cells for cells in csv.reader(text, delimiter=dropped.delimiter) if cells)
        order = _order(next(records), table) if dropped.header else table.column_names
        for chunk in _chunks(records):
            yield _part(chunk, done + 1, order, file=file, dropped=dropped, table=table)
            done += len(chunk)
    if done != file.rows:
        raise RowsUnaccounted(f"{file.name}: {done} records, the collector counted {file.rows}")


def _chunks(records: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    chunk: list[list[str]] = []
    characters = 0
    for cells in records:
        chunk.append(cells)
        characters += sum(map(len, cells))
        if len(chunk) >= _PART_ROWS or characters >= _PART_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _order(header: Sequence[str], table: DropTable) -> tuple[str, ...]:
    declared = {name.casefold(): name for name in table.column_names}
    return tuple(declared[cell.strip().casefold()] for cell in header)


def _part(
    chunk: list[list[str]],
    first: int,
    order: Sequence[str],
    *,
    file: CollectedFile,
    dropped: DroppedFile,
    table: DropTable,
) -> Part:
    width = len(order)
    odd = [number for number, cells in enumerate(chunk, first) if len(cells) != width]
    misfits = [
        Misfit(
            file=file.name,
            row_number=number,
            idrssd=None,
            rule="field_count",
            column=None,
            reason=f"{len(chunk[number - first])} cells, {table.name} has {width} columns",
            record=_written(chunk[number - first], dropped),
        )
        for number in odd
    ]
    numbers = pl.Series("row_number", range(first, first + len(chunk)), pl.Int64)
    if odd:
        numbers = numbers.filter(~numbers.is_in(odd))
        chunk = [cells for cells in chunk if len(cells) == width]
    columns = list(zip(*chunk, strict=True)) or [()] * width
    text = pl.DataFrame(
        [pl.Series(name, cells, pl.String) for name, cells in zip(order, columns, strict=True)]
    )
    frame = _with_lineage(text, numbers, file, dropped, table)
    return Part(numbers.len() + len(odd), frame, misfit_frame(misfits))


def _with_lineage(
    text: pl.DataFrame,
    numbers: pl.Series,
    file: CollectedFile,
    dropped: DroppedFile,
    table: DropTable,
) -> pl.DataFrame:
    moment = pl.lit(dropped.dropped_at, pl.Datetime("us", "UTC"))
    return text.select(
        *(_empty_as_null(name) for name in table.column_names),
        problems_of(text, table),
        pl.lit(file.name).alias("filename"),
        pl.lit(dropped.version, pl.Int64).alias("file_version"),
        numbers,
        moment.alias("dropped_at"),
    )


def problems_of(text: pl.DataFrame, table: DropTable) -> pl.Series:
    """Return what is wrong with each row; null where nothing is."""
    by_column = text.select(_problem(column).alias(column.name) for column in table.columns)
    bad = by_column.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    # Lists are slow to make, and few rows need one.
    told = by_column.filter(bad).select(pl.concat_list(pl.all()).list.drop_nulls()).to_series()
    places = pl.DataFrame([bad.arg_true().alias("row"), told.alias("problems")])
    rows = pl.DataFrame([pl.Series("row", range(text.height), pl.UInt32)])
    return rows.join(places, on="row", how="left", maintain_order="left")["problems"]


def _empty_as_null(name: str) -> pl.Expr:
    return pl.when(pl.col(name) != "").then(pl.col(name)).alias(name)


def _problem(column: DropColumn) -> pl.Expr:
    """Say what is wrong with a column's cells; null where nothing is."""
    cells = pl.col(column.name)
    blank = cells.str.strip_chars() == ""
    missing = pl.lit(f"{column.name} is blank" if column.required else None, pl.String)
    fits = _FITS.get(column.kind)
    if fits is None:
        return pl.when(blank).then(missing)
    wrong = pl.lit(f"{column.name} is not of type {column.kind}")
    return pl.when(blank).then(missing).when(~fits(cells)).then(wrong)


def _written(cells: Sequence[str], dropped: DroppedFile) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=dropped.delimiter, lineterminator="").writerow(cells)
    return text.getvalue()

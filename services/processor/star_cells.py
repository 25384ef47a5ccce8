"""JSON Lines of one source table become typed rows, and misfits with the reason."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from contracts.star_schema import CellKind, SourceColumn, SourceTable, StarSchema
from services.processor.quarantine import KEYED_SCHEMA
from services.processor.star_repeats import repeated_keys
from shared.errors import RowsUnaccounted

PACKET, FILE, ROW = "packet_id", "filename", "row_number"
LINEAGE = {PACKET: pl.Int64(), FILE: pl.String(), ROW: pl.Int64()}
_LINE = "quarry line"
_WHY = "quarry why"
_PART_BYTES = 8 * 1024 * 1024
_DECIMAL = pl.Decimal(18, 2)
_DECIMAL_TEXT = r"^-?\d{1,16}(\.\d{1,2}0*)?$"
TYPES: Mapping[CellKind, pl.DataType] = {
    "int": pl.Int64(),
    "text": pl.String(),
    "decimal": _DECIMAL,
    "bool": pl.Boolean(),
    "timestamp": pl.Datetime("us"),
    "date": pl.Date(),
}


@dataclass(frozen=True)
class PacketRows:
    """A packet, or a part of one, taken apart: each line is a row or a misfit.

    Rows carry packet, file and line.
    """

    rows: pl.DataFrame
    misfits: pl.DataFrame


@dataclass(frozen=True)
class _Check:
    """A rule about one column: what breaks it."""

    rule: str
    column: str
    breaks: pl.Expr
    reason: str


def row_schema(source: SourceTable) -> dict[str, pl.DataType]:
    """Return the columns of a source table's rows."""
    return {column.name: TYPES[column.kind] for column in source.columns} | LINEAGE


def known_values(star: StarSchema, table: str) -> dict[str, frozenset[str]]:
    """Return the columns of a source table whose values are spelt out in a dimension."""
    return {
        column.source: frozenset(column.values)
        for dimension in star.dimensions
        if dimension.of == table
        for column in dimension.columns
        if column.values
    }


def read_parts(
    path: Path,
    source: SourceTable,
    packet_id: int,
    known: Mapping[str, frozenset[str]],
    part_bytes: int = _PART_BYTES,
) -> Iterator[PacketRows]:
    """Parse a packet, some lines at a time. A number is taken by its text, so a decimal is exact.

    Rules: `not_json` (or no object), `missing`, `wrong_type`, `unknown_value`, `duplicate_key`
    (an earlier row of the packet that fits has it).
    """
    checks = list(_checks(source, known))
    size = path.stat().st_size
    again = pl.Series(dtype=pl.Int64())
    if size > part_bytes:
        keys = (_keys(part, source) for part in _parts_of(path, part_bytes))
        again = repeated_keys(keys, size, path.parent)
    gone_by = again.clear()
    lines = 0
    for part in _parts_of(path, part_bytes):
        read = _read_part(part, source, checks, (packet_id, path.name, lines), gone_by)
        yield read
        keys_read = read.rows[source.key]
        gone_by = gone_by.append(keys_read.filter(keys_read.is_in(again.implode())))
        lines += len(part)


def _parts_of(path: Path, part_bytes: int) -> Iterator[list[str]]:
    with path.open(encoding="utf-8", newline="\n", errors="replace") as file:
        while part := file.readlines(part_bytes):
            yield part


def _keys(part: list[str], source: SourceTable) -> pl.Series:
    texts = pl.Series(part).str.json_path_match(f"$.{source.key}")
    return texts.str.to_integer(strict=False).drop_nulls()


def _read_part(
    part: list[str],
    source: SourceTable,
    checks: list[_Check],
    place: tuple[int, str, int],
    gone_by: pl.Series,
) -> PacketRows:
    packet_id, file, before = place
    lines = pl.DataFrame({_LINE: part}, schema={_LINE: pl.String()})
    cells = lines.with_row_index(ROW, before + 1).with_columns(
        pl.col(ROW).cast(pl.Int64),
        pl.col(_LINE).str.strip_chars_end(),
        *(
            pl.col(_LINE).str.json_path_match(f"$.{column.name}").alias(f"text {column.name}")
            for column in source.columns
        ),
    )
    typed = cells.with_columns(_converted(column) for column in source.columns)
    typed = typed.with_columns(_first(checks).alias(_WHY))
    fits = pl.col(_WHY).is_null()
    rows = typed.filter(fits).select(
        *(column.name for column in source.columns),
        pl.lit(packet_id).cast(pl.Int64).alias(PACKET),
        pl.lit(file).alias(FILE),
        ROW,
    )
    key = pl.col(source.key)
    first = key.is_first_distinct() & ~key.is_in(gone_by.implode())
    misfits = _misfits(typed.filter(~fits), checks, source, file)
    read = PacketRows(
        rows.filter(first), pl.concat([misfits, _repeated(rows.filter(~first), source)])
    )
    if read.rows.height + read.misfits.height != len(part):
        raise RowsUnaccounted(
            f"{file}: {len(part)} lines after {before}, {read.rows.height} rows and "
            f"{read.misfits.height} misfits"
        )
    return read


def _repeated(rows: pl.DataFrame, source: SourceTable) -> pl.DataFrame:
    return rows.select(
        pl.col(FILE).alias("file"),
        pl.col(ROW).alias("row_number"),
        pl.col(source.key).cast(pl.String).alias("key"),
        pl.lit("duplicate_key").alias("rule"),
        pl.lit(source.key).alias("column"),
        pl.lit(f"an earlier row has this {source.key}").alias("reason"),
        pl.lit(None, dtype=pl.String).alias("record"),
    )


def _converted(column: SourceColumn) -> pl.Expr:
    text = pl.col(f"text {column.name}")
    match column.kind:
        case "text":
            made = text
        case "int":
            made = text.str.to_integer(strict=False)
        case "decimal":
            plain = pl.when(text.str.contains(_DECIMAL_TEXT)).then(text)
            made = plain.str.to_decimal(scale=2).cast(_DECIMAL)
        case "bool":
            made = text.replace_strict(
                {"true": True, "false": False}, default=None, return_dtype=pl.Boolean
            )
        case "timestamp":
            made = text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
        case "date":
            made = text.str.to_date("%Y-%m-%d", strict=False)
    return made.alias(column.name)


def _checks(source: SourceTable, known: Mapping[str, frozenset[str]]) -> Iterator[_Check]:
    texts = [pl.col(f"text {column.name}").is_null() for column in source.columns]
    yield _Check("not_json", source.key, pl.all_horizontal(texts), "no JSON object with columns")
    for column in source.columns:
        text, value = pl.col(f"text {column.name}"), pl.col(column.name)
        if column.required:
            yield _Check("missing", column.name, text.is_null(), "no value")
        yield _Check(
            "wrong_type",
            column.name,
            text.is_not_null() & value.is_null(),
            f"is not of type {column.kind}",
        )
        if column.name in known:
            strange = value.is_not_null() & ~value.is_in(sorted(known[column.name]))
            yield _Check("unknown_value", column.name, strange, "is not a value the dataset lists")


def _first(checks: list[_Check]) -> pl.Expr:
    """Return the number of the first check that a row breaks; null when it breaks none."""
    return pl.coalesce(
        pl.when(check.breaks).then(pl.lit(number)) for number, check in enumerate(checks)
    )


def _misfits(
    broken: pl.DataFrame, checks: list[_Check], source: SourceTable, file: str
) -> pl.DataFrame:
    rows = [
        {
            "file": file,
            "row_number": row[ROW],
            "key": row[f"text {source.key}"],
            "rule": checks[row[_WHY]].rule,
            "column": checks[row[_WHY]].column,
            "reason": f"{checks[row[_WHY]].column} {checks[row[_WHY]].reason}",
            "record": row[_LINE],
        }
        for row in broken.iter_rows(named=True)
    ]
    return pl.DataFrame(rows, schema=KEYED_SCHEMA)

"""One member with types: its records by bank, and those of them that cannot be loaded."""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from contracts.column_types import ColumnType
from services.processor.cdr_cells import ROW, Cells, split_cells
from services.processor.cdr_files import PANEL
from services.processor.cdr_panel import panel_name, panel_type, tidy_panel
from services.processor.cdr_parse import KEY, Header, SourceText
from services.processor.cdr_values import Misfits, convert, take_confidential
from services.processor.column_types import KnownTypes, Types
from services.processor.quarantine import Misfit, Rule
from shared.errors import SchemaMismatch

CONFIDENTIAL = "confidential"
_QUARRYS_OWN = frozenset(
    {KEY, ROW, CONFIDENTIAL, "period_end", "filename", "load_update_ts", "load_id"}
)
_SHOWN = 40


@dataclass(frozen=True)
class Column:
    """`written` in the file, `name` in the table; `code` is the MDRM code, None in the panel."""

    written: str
    name: str
    code: str | None
    description: str


@dataclass(frozen=True)
class Part:
    """The loadable records of one member.

    `frame` has `idrssd` (unique), `row_number`, the columns by their table names and, last,
    `confidential`. `widened` is by code. `repaired` records kept surplus tabs in their text.
    """

    source: SourceText
    columns: tuple[Column, ...]
    frame: pl.DataFrame
    misfits: tuple[Misfit, ...]
    widened: Types
    repaired: int


def columns_of(header: Header, table: str) -> tuple[Column, ...]:
    """Name a member's columns as the table will.

    Raises:
        SchemaMismatch: two columns would get the same name, or one of Quarry's own.
    """
    columns = tuple(
        Column(written, panel_name(written), None, text)
        if table == PANEL
        else Column(written, written.lower(), written.upper(), text)
        for written, text in zip(header.columns, header.descriptions, strict=True)
    )
    taken = set(_QUARRYS_OWN)
    for column in columns:
        if column.name in taken:
            raise SchemaMismatch(f"{table}: {column.written!r} would be a second {column.name!r}")
        taken.add(column.name)
    return columns


def type_of(column: Column, types: KnownTypes) -> ColumnType:
    """Return the type the registry gives a code, or the panel's own."""
    return types.get(column.code) if column.code else panel_type(column.name)


def read_part(source: SourceText, types: KnownTypes) -> Part:
    """Turn a member's records into typed columns; what does not fit becomes a misfit."""
    columns = columns_of(source.header, source.member.table)
    kinds = {column.written: type_of(column, types) for column in columns}
    texts = [written for written, kind in kinds.items() if kind == "text"]
    cells = split_cells(source, texts[0] if len(texts) == 1 else None)
    keyed, unkeyed = _by_bank(cells)
    text = keyed.select(list(kinds))
    if source.member.table == PANEL:
        text, listed = tidy_panel(text), []
    else:
        text, confidential = take_confidential(text, keyed.height)
        listed = [confidential.alias(CONFIDENTIAL)]
    typed = convert(text, kinds, cells.stand_ins)
    named = typed.frame.rename({column.written: column.name for column in columns})
    unfit = _first_misfits(source, keyed, typed.misfits, columns)
    frame = pl.DataFrame([*keyed.select(KEY, ROW), *named, *listed])
    return Part(
        source=source,
        columns=columns,
        frame=frame.filter(~pl.col(ROW).is_in([misfit.row_number for misfit in unfit])),
        misfits=(*cells.misfits, *unkeyed, *unfit),
        widened={
            column.code: typed.widened[column.written]
            for column in columns
            if column.code and column.written in typed.widened
        },
        repaired=cells.repaired,
    )


def _by_bank(cells: Cells) -> tuple[pl.DataFrame, list[Misfit]]:
    """Read the key; records without a usable one, and all that claim the same, are misfits."""
    frame = cells.frame.with_columns(pl.col(KEY).cast(pl.Int64, strict=False))
    nameless = frame.filter(pl.col(KEY).is_null())
    named = frame.filter(pl.col(KEY).is_not_null())
    twice = named.filter(pl.col(KEY).is_duplicated())
    misfits = [
        misfit(cells.source, row, None, "idrssd_not_integer", "the first field is not an integer")
        for row in nameless[ROW]
    ]
    for row, idrssd in twice.select(ROW, KEY).iter_rows():
        reason = f"IDRSSD {idrssd} has several records in this file"
        misfits.append(misfit(cells.source, row, idrssd, "duplicate_idrssd", reason))
    return named.filter(~pl.col(KEY).is_duplicated()), misfits


def _first_misfits(
    source: SourceText,
    keyed: pl.DataFrame,
    unfit: Iterable[Misfits],
    columns: Iterable[Column],
) -> list[Misfit]:
    """Describe each record by the first of its cells that does not fit."""
    names = {column.written: column.name for column in columns}
    found: dict[int, Misfit] = {}
    for cells in unfit:
        for place, value in zip(cells.rows, cells.values, strict=True):
            row, idrssd = keyed.item(place, ROW), keyed.item(place, KEY)
            if row not in found:
                reason = f"{value[:_SHOWN]!r} is not {cells.kind}"
                name = names[cells.column]
                found[row] = misfit(source, row, idrssd, "wrong_type", reason, column=name)
    return list(found.values())


def misfit(
    source: SourceText,
    row: int,
    idrssd: int | None,
    rule: Rule,
    reason: str,
    *,
    column: str | None = None,
) -> Misfit:
    """Describe a record of `source` that cannot be loaded."""
    name, record = source.member.name, source.record(row)
    return Misfit(name, row, idrssd, rule, column, reason, record)

"""A folder of scanned items: one table per declared builder, in parts that fit memory."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import polars as pl

from contracts.item_tables import ItemColumn, ItemKind, ItemTable, table_of_part
from services.processor.clean_table import Opening, Part
from services.processor.column_types import KnownTypes, Types
from services.processor.item_values import DIGITS, Unfit, cell, plain, said
from services.processor.quarantine import KEYED_SCHEMA
from shared.errors import InvalidRequest, RowsUnaccounted, UnexpectedMember

FILE, ROW = "filename", "row_number"
# What is worked on at a time: so many lines, or lines of so many bytes.
_PART_LINES = 10_000
_SHOWN_MISFITS = 5
_PART_BYTES = 8 * 1024 * 1024
_PLAIN: Mapping[ItemKind, pl.DataType] = {
    "text": pl.String(),
    "int": pl.Int64(),
    "bool": pl.Boolean(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us", "UTC"),
    "epoch": pl.Datetime("us", "UTC"),
    "texts": pl.List(pl.String()),
    "json": pl.String(),
    "binary": pl.Binary(),
}


@dataclass(frozen=True)
class _Line:
    """A line of a file, counted from 1."""

    file: str
    number: int
    text: bytes


def open_items(opening: Opening) -> "ItemFolder":
    """Open the files of one scan.

    Raises:
        InvalidRequest: the dataset declares no builders.
        UnexpectedMember: a file is of no declared source table.
    """
    if not opening.dataset.items:
        raise InvalidRequest(f"{opening.dataset.name} declares no `items`, nothing can be built")
    return ItemFolder(opening)


class ItemFolder:
    """JSON Lines of items, several files for each source table."""

    has_dictionary = False
    codes: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()

    def __init__(self, opening: Opening) -> None:
        self._tables = {table.name: table for table in opening.dataset.items}
        self._opening = opening
        sources = {table.of for table in opening.dataset.items}
        for name in opening.files:
            if table_of_part(name) not in sources:
                raise UnexpectedMember(f"{name!r} is not a file of {', '.join(sorted(sources))}")

    @property
    def tables(self) -> Sequence[str]:
        """The declared tables, whether or not they have items."""
        return list(self._tables)

    def infer(self, codes: frozenset[str]) -> Types:
        """Return nothing: every type is declared."""
        del codes
        return {}

    def clean(self, table: str, types: KnownTypes) -> "TableOfItems":
        """Return the table, to be built part by part."""
        del types
        return TableOfItems(self._tables[table], self._opening)

    def dictionary(self, types: KnownTypes) -> NoReturn:
        """Refuse: there is none."""
        del types
        raise TypeError(f"{self._opening.dataset.name} has no dictionary")


class TableOfItems:
    """The rows that a builder makes; items that do not fit are counted as they pass."""

    def __init__(self, builder: ItemTable, opening: Opening) -> None:
        self.name = builder.name
        self.key = builder.key
        self.members = tuple(name for name in opening.files if table_of_part(name) == builder.of)
        self._builder = builder
        self._opening = opening
        self._misfits = 0
        self._shown: list[str] = []

    @property
    def warnings(self) -> tuple[str, ...]:
        """The first items that do not fit, by their keys, and how many more there are."""
        more = self._misfits - len(self._shown)
        rest = (f"{self.name}: {more} more items are quarantined",) if more else ()
        return (*self._shown, *rest)

    def parts(self) -> Iterator[Part]:
        """Build rows, some thousand items at a time.

        Raises:
            RowsUnaccounted: a file has not the items that were scanned into it.
        """
        yield _build([], self._builder)  # an empty table has columns too
        waiting: list[_Line] = []
        size = 0
        for line in self._lines():
            waiting.append(line)
            size += len(line.text)
            if len(waiting) >= _PART_LINES or size >= _PART_BYTES:
                yield self._counted(_build(waiting, self._builder))
                waiting, size = [], 0
        if waiting:
            yield self._counted(_build(waiting, self._builder))

    def _counted(self, part: Part) -> Part:
        self._misfits += part.quarantine.height
        for row in part.quarantine.head(_SHOWN_MISFITS - len(self._shown)).rows(named=True):
            self._shown.append(f"{self.name}: {row['key']}: {row['reason']}")
        return part

    def _lines(self) -> Iterator[_Line]:
        for name in self.members:
            number = 0
            with self._opening.files[name].open("rb") as file:
                for number, text in enumerate(file, 1):
                    yield _Line(name, number, text)
            listed = self._opening.listed.get(name)
            if listed is not None and listed.rows not in {None, number}:
                raise RowsUnaccounted(
                    f"{name}: {listed.rows} items were scanned, the file has {number}"
                )


def _build(lines: Sequence[_Line], builder: ItemTable) -> Part:
    rows: list[list[Any]] = []
    misfits: list[tuple[Any, ...]] = []
    for line in lines:
        row, misfit = _row(line, builder)
        if misfit is None:
            rows.append([*row, line.file, line.number])
        else:
            misfits.append(misfit)
    schema = {column.name: _type(column) for column in builder.columns}
    return Part(
        frame=pl.DataFrame(rows, {**schema, FILE: pl.String(), ROW: pl.Int64()}, orient="row"),
        quarantine=pl.DataFrame(misfits, KEYED_SCHEMA, orient="row"),
        rows_in=len(lines),
        json_columns=frozenset(one.name for one in builder.columns if one.kind == "json"),
    )


def _row(line: _Line, builder: ItemTable) -> tuple[list[Any], tuple[Any, ...] | None]:
    """Return the item's values, or why it does not fit."""
    row: list[Any] = []
    item: Any = None
    column: ItemColumn | None = None
    try:
        item = _item(line.text)
        for column in builder.columns:  # the one that does not fit is told
            row.append(cell(item, column))  # stops at the first misfit
    except Unfit as error:
        return [], (
            line.file,
            line.number,
            _key(item, builder),
            error.rule,
            column.name if column else None,
            str(error),
            line.text.decode(errors="replace").rstrip("\n"),
        )
    return row, None


def _item(text: bytes) -> Any:
    try:
        item = json.loads(text)["Item"]
    except (ValueError, KeyError, TypeError, RecursionError):
        item = None
    if not isinstance(item, dict):
        raise Unfit("not_an_item", 'is not {"Item": {…}}')
    return item


def _key(item: Any, builder: ItemTable) -> str | None:
    """Return the item's key for people: `document_id=7, version=2`."""
    if not isinstance(item, dict):
        return None
    columns = [column for column in builder.columns if column.name in builder.key]
    return ", ".join(
        f"{said(column.steps)}={plain(item.get(str(column.steps[0])))}" for column in columns
    )


def _type(column: ItemColumn) -> pl.DataType:
    decimal = pl.Decimal(DIGITS, column.places)
    if column.kind == "decimal":
        return decimal
    return pl.List(decimal) if column.kind == "decimals" else _PLAIN[column.kind]

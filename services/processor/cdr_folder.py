"""A folder of call reports: which tables its members make, and the dictionary of their columns."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import polars as pl

from contracts import Period
from services.processor.cdr_cells import ROW, split_cells
from services.processor.cdr_files import Member, tables_of
from services.processor.cdr_parse import HEAD_BYTES, Header, read_text
from services.processor.cdr_part import Column, columns_of, read_part, type_of
from services.processor.cdr_tables import join_parts
from services.processor.cdr_values import infer_types, take_confidential
from services.processor.clean_table import CleanTable, Opening
from services.processor.column_types import KnownTypes, Types, merge
from services.processor.quarantine import misfit_frame
from shared.errors import InvalidRequest, SchemaMismatch

DICTIONARY = "dictionary"


def open_call_reports(opening: Opening) -> "CdrFolder":
    """Open a quarter.

    Raises:
        InvalidRequest: the dataset is not one that comes by quarter.
    """
    if opening.period is None:
        raise InvalidRequest(f"{opening.dataset.name} declares no first_period; its files need one")
    return CdrFolder(opening.files, opening.period)


class CdrFolder:
    """The unzipped members of one quarter; opening it reads names and header lines only.

    Raises:
        UnexpectedMember: a member's name contradicts the quarter or another name.
        SchemaMismatch: no member holds data, or one lacks the header lines of its kind.
    """

    has_dictionary = True

    def __init__(self, files: Mapping[str, Path], period: Period) -> None:
        self._files = files
        self._period_end = period.end
        self._members, others = tables_of(files, period)
        if not self._members:
            raise SchemaMismatch(f"none of the {len(others)} files is a call-report file")
        self.warnings = tuple(f"{name}: not a call-report file, not loaded" for name in others)
        self._headers: dict[Member, Header] = {}
        for members in self._members.values():
            for member in members:
                with files[member.name].open("rb") as file:
                    self._headers[member] = read_text(file.read(HEAD_BYTES), member).header

    @property
    def tables(self) -> Sequence[str]:
        """Table names, the one with the most bytes first."""
        return sorted(self._members, key=self._bytes_of, reverse=True)

    def _bytes_of(self, table: str) -> int:
        return sum(self._files[member.name].stat().st_size for member in self._members[table])

    @cached_property
    def _columns(self) -> dict[Member, tuple[Column, ...]]:
        return {
            member: columns_of(header, member.table) for member, header in self._headers.items()
        }

    @property
    def codes(self) -> frozenset[str]:
        """Every MDRM code that a header names, in upper case."""
        return frozenset(
            column.code for columns in self._columns.values() for column in columns if column.code
        )

    def infer(self, codes: frozenset[str]) -> Types:
        """Return the narrowest types that hold all cells of these codes, over all members."""
        inferred: Types = {}
        for member, columns in self._columns.items():
            written = [column.written for column in columns if column.code in codes]
            if written:
                frame = split_cells(read_text(self._read(member), member)).frame.select(written)
                text, _ = take_confidential(frame, frame.height)
                found = {name.upper(): kind for name, kind in infer_types(text).items()}
                inferred = merge(inferred, found)
        return inferred

    def clean(self, table: str, types: KnownTypes) -> CleanTable:
        """Read, convert and join the parts of one table."""
        parts = [
            read_part(read_text(self._read(member), member), types)
            for member in self._members[table]
        ]
        return join_parts(table, parts, self._period_end)

    def dictionary(self, types: KnownTypes) -> CleanTable:
        """Describe the columns of all tables; `row_number` is the column's place in its file."""
        rows = [
            {
                "table_name": table,
                "column_name": column.name,
                "period_end": self._period_end,
                "mdrm": column.code,
                "position": position,
                "description": column.description or None,
                "type": type_of(column, types),
                "filename": member.name,
                ROW: place,
            }
            for table, members in self._members.items()
            for position, (member, place, column) in enumerate(self._places(members), 1)
        ]
        return CleanTable(
            name=DICTIONARY,
            key=("table_name", "column_name", "period_end"),
            frame=pl.DataFrame(rows, schema=_DICTIONARY_SCHEMA),
            members=tuple(member.name for member in self._headers),
            rows_in=sum(len(header.columns) for header in self._headers.values()),
            quarantine=misfit_frame(()),
            descriptions=_DICTIONARY_DESCRIPTIONS,
        )

    def _places(self, members: Sequence[Member]) -> list[tuple[Member, int, Column]]:
        return [
            (member, place, column)
            for member in members
            for place, column in enumerate(self._columns[member], 1)
        ]

    def _read(self, member: Member) -> bytes:
        return self._files[member.name].read_bytes()


_DICTIONARY_SCHEMA = {
    "table_name": pl.String(),
    "column_name": pl.String(),
    "period_end": pl.Date(),
    "mdrm": pl.String(),
    "position": pl.Int64(),
    "description": pl.String(),
    "type": pl.String(),
    "filename": pl.String(),
    ROW: pl.Int64(),
}
_DICTIONARY_DESCRIPTIONS = {
    "mdrm": "Code of the Federal Reserve's data dictionary; none for the panel of reporters",
    "position": "Place of the column in its table, without key and audit columns, from 1",
    "description": "Second header line of the file, cut at 36 characters by the source",
    "type": "unknown, bool, int, float, date, timestamp or text",
    "filename": "File that has the column in this quarter",
    "row_number": "Place of the column in that file, after IDRSSD, from 1",
}

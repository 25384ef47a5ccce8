"""Dropped files of delimited text as a folder: each table from the files that are for it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from contracts import CollectedFile, Dataset
from contracts.drop_table import DroppedFile, DropSource, DropTable
from services.processor.clean_table import Opening, Part
from services.processor.column_types import KnownTypes, Types
from services.processor.delimited_rows import read_parts
from shared.errors import InvalidRequest, SchemaMismatch


@dataclass(frozen=True)
class _Source:
    """One file of one table."""

    file: CollectedFile
    dropped: DroppedFile
    path: Path


@dataclass
class DelimitedTable:
    """Rows of one table; what is wrong with them is counted as they pass."""

    table: DropTable
    key: tuple[str, ...]
    sources: Sequence[_Source]
    warnings: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.table.name

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the files."""
        return tuple(source.file.name for source in self.sources)

    def parts(self) -> Iterator[Part]:
        """Read the files one after the other."""
        for source in self.sources:
            flagged = kept_out = 0
            first_flagged = first_kept_out = ""
            for part in read_parts(source.file, source.dropped, source.path, self.table):
                problems = part.frame.filter(part.frame["problems"].is_not_null())
                if problems.height and not flagged:
                    first_flagged = f"row {problems['row_number'][0]}: {problems['problems'][0][0]}"
                if part.quarantine.height and not kept_out:
                    row = part.quarantine.row(0, named=True)
                    first_kept_out = f"row {row['row_number']}: {row['reason']}"
                flagged += problems.height
                kept_out += part.quarantine.height
                yield part
            if flagged:
                self._warn(source, f"{flagged} rows are flagged, the first is {first_flagged}")
            if kept_out:
                self._warn(source, f"{kept_out} rows do not fit, the first is {first_kept_out}")

    def _warn(self, source: _Source, sentence: str) -> None:
        self.warnings = (*self.warnings, f"{source.file.name}: {sentence}")


@dataclass(frozen=True)
class DelimitedFolder:
    """Files that the collector has checked; every column is text, so no type is looked up."""

    dataset: Dataset
    by_table: Mapping[str, DelimitedTable]
    codes: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()
    has_dictionary: bool = False

    @property
    def tables(self) -> Sequence[str]:
        """The tables the files are for, the largest first."""
        return sorted(
            self.by_table,
            key=lambda name: -sum(source.file.bytes for source in self.by_table[name].sources),
        )

    def infer(self, codes: frozenset[str]) -> Types:
        """Return nothing: no column's type is unknown."""
        del codes
        return {}

    def clean(self, table: str, types: KnownTypes) -> DelimitedTable:
        """Return the table, to be read part by part."""
        del types
        return self.by_table[table]

    def dictionary(self, types: KnownTypes) -> NoReturn:
        """Refuse: there is none."""
        del types
        raise TypeError(f"{self.dataset.name} has no dictionary")


def open_delimited(opening: Opening) -> DelimitedFolder:
    """Sort the files by table.

    Raises:
        InvalidRequest: the dataset's files are not dropped.
        SchemaMismatch: the manifest does not say what a file is.
    """
    source = opening.dataset.source
    if not isinstance(source, DropSource):
        raise InvalidRequest(f"{opening.dataset.name} is not dropped as files")
    declared = {table.name: table for table in source.tables}
    found: dict[str, list[_Source]] = {}
    for name, listed in opening.listed.items():
        if listed.dropped is None or listed.dropped.table not in declared:
            raise SchemaMismatch(f"{listed.key}: the manifest names no table of this dataset")
        one = _Source(listed, listed.dropped, opening.files[name])
        found.setdefault(listed.dropped.table, []).append(one)
    return DelimitedFolder(
        opening.dataset,
        {
            name: DelimitedTable(declared[name], opening.dataset.rule_of(name).key, sources)
            for name, sources in found.items()
        },
    )

"""What every file format hands on: typed tables, and proof that no row went missing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import polars as pl

from contracts import CollectedFile, Dataset, Period
from services.processor.column_types import KnownTypes, Types
from shared.errors import RowsUnaccounted


@dataclass(frozen=True)
class CleanTable:
    """One table of one folder. `members` are the names of the files its rows came from.

    `quarantine` has one row per record kept out; `quarantined` counts the table rows they would
    have made.
    """

    name: str
    key: tuple[str, ...]
    frame: pl.DataFrame
    members: tuple[str, ...]
    rows_in: int
    quarantine: pl.DataFrame
    quarantined: int = 0
    descriptions: Mapping[str, str] = field(default_factory=dict)
    widened: Types = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse to exist when a row is neither in the table nor in quarantine.

        Raises:
            RowsUnaccounted: rows in are not rows out plus rows quarantined.
        """
        if self.rows_in != self.frame.height + self.quarantined:
            raise RowsUnaccounted(
                f"{self.name}: {self.rows_in} rows in, {self.frame.height} out and "
                f"{self.quarantined} quarantined, from {', '.join(self.members)}"
            )


@dataclass(frozen=True)
class Part:
    """Some rows, all with the same columns; `quarantine` has one row per record kept out.

    `json_columns` are texts that hold JSON, and are marked as such in the file.
    """

    rows_in: int
    frame: pl.DataFrame
    quarantine: pl.DataFrame
    json_columns: frozenset[str] = frozenset()


class PartedTable(Protocol):
    """One table of one folder, too large for memory: it passes by in parts.

    `warnings` are complete when the last part has been taken.
    """

    @property
    def name(self) -> str:
        """Name of the table."""
        ...

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that identify a row."""
        ...

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the files the rows come from."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What an operator should know."""
        ...

    def parts(self) -> Iterator[Part]:
        """Read the files once; there is at least one part, which may be empty."""
        ...


@dataclass(frozen=True)
class Opening:
    """A folder to open: its dataset, its quarter if it has one, and its files by name.

    `listed` is what the manifest says of each file.
    """

    dataset: Dataset
    period: Period | None
    files: Mapping[str, Path]
    listed: Mapping[str, CollectedFile] = field(default_factory=dict)


class OpenFolder(Protocol):
    """The files of one folder in one format. Opening it reads names and headers only."""

    @property
    def tables(self) -> Sequence[str]:
        """The tables the files make up, the most work first."""
        ...

    @property
    def codes(self) -> frozenset[str]:
        """The columns whose types come from the registry."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What an operator should know about the folder itself."""
        ...

    def infer(self, codes: frozenset[str]) -> Types:
        """Return the narrowest types that hold all cells of these columns, over all files."""
        ...

    def clean(self, table: str, types: KnownTypes) -> CleanTable | PartedTable:
        """Parse, convert and join one table; safe to call from several threads."""
        ...

    @property
    def has_dictionary(self) -> bool:
        """Whether a table about the columns belongs to the folder."""
        ...

    def dictionary(self, types: KnownTypes) -> CleanTable:
        """Return the table that describes the columns of the others."""
        ...

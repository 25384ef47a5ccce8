"""What dropped files are taken for: patterns of names, and the columns of their tables."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from contracts.model import Contract

DroppedKind = Literal["text", "int", "decimal", "date", "timestamp"]
Delimiter = Literal[",", ";"]


class DropColumn(Contract):
    """A column of delimited text; a row without a `required` value is flagged."""

    name: str
    kind: DroppedKind = Field(default="text", description="What its values have to look like.")
    required: bool = True


class DropTable(Contract):
    """A table and the names of the files that fill it, with shell patterns (`jobs*.csv`)."""

    name: str
    patterns: tuple[str, ...] = Field(min_length=1)
    columns: tuple[DropColumn, ...] = Field(min_length=1)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names in the order of a file without a header."""
        return tuple(column.name for column in self.columns)

    def takes(self, name: str) -> bool:
        """Say whether a file of this name, folders left out, belongs here."""
        base = name.rpartition("/")[2]
        return any(fnmatchcase(base, pattern) for pattern in self.patterns)


class DropSource(Contract):
    """Files dropped under `inbox/` of the lake."""

    kind: Literal["s3_drop"] = "s3_drop"
    tables: tuple[DropTable, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_table_once(self) -> Self:
        names = [table.name for table in self.tables]
        if len(set(names)) < len(names):
            raise ValueError(f"a table is declared twice: {', '.join(names)}")
        return self

    def takers(self, name: str) -> Iterator[DropTable]:
        """Yield the tables a file of this name may be for."""
        return (table for table in self.tables if table.takes(name))


class DroppedFile(Contract):
    """What the collector found a dropped file to be, and where it had lain."""

    table: str = Field(description="Table it is for.", examples=["hired_employees"])
    inbox_key: str = Field(
        description="Key it was dropped under.", examples=["inbox/hired_employees.csv"]
    )
    etag: str = Field(
        description="Tag of that very version of the object.",
        examples=['"0f343b0931126a20f133d67c2b018a3b"'],
    )
    dropped_at: AwareDatetime = Field(
        description="When it was dropped.", examples=["2026-11-21T09:00:00Z"]
    )
    delimiter: Delimiter = Field(description="What stands between two cells.", examples=[";"])
    header: bool = Field(
        description="Whether the first record names the columns.", examples=[False]
    )
    version: int | None = Field(
        default=None,
        ge=1,
        description="Counts the contents this name has had, from 1; left out until it is taken.",
        examples=[2],
    )

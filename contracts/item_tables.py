"""How items of a document store become rows, declared once per dataset: one builder per table."""

import hashlib
import re
from typing import Literal, Self

from pydantic import Field, model_validator

from contracts.model import Contract

ItemKind = Literal[
    "text",
    "int",
    "decimal",
    "bool",
    "date",
    "timestamp",
    "epoch",
    "texts",
    "decimals",
    "json",
    "binary",
]
_PART_NAME = re.compile(r"(?P<table>[^.]+)\.\d+-of-\d+\.\d{6}\.jsonl")


class ItemColumn(Contract):
    """A column and where in an item its value is; an item without a `required` one is misfit.

    `text`, `bool` and `binary` take S, BOOL and B; `int` and `decimal` an N that is exact as
    bigint, or as a decimal of 38 digits with `places` behind the point; `date` `2026-11-21`;
    `timestamp` ISO 8601, without offset UTC; `epoch` seconds since 1970 as N; `texts` and
    `decimals` a set or a list; `json` anything, its numbers exact.
    """

    name: str
    kind: ItemKind = "text"
    path: tuple[str | int, ...] = Field(
        default=(), description="Attribute, then keys of maps and places in lists; empty: `name`."
    )
    required: bool = False
    places: int = Field(default=0, ge=0, le=38, description="Of decimals, behind the point.")

    @property
    def steps(self) -> tuple[str | int, ...]:
        """The way from the item to the value."""
        return self.path or (self.name,)


class ItemTable(Contract):
    """The builder of one table: which items, which columns, which of them identify a row."""

    name: str = Field(description="Table that the rows are loaded into.")
    of: str = Field(pattern=r"^[^.]+$", description="One of the source's tables.")
    key: tuple[str, ...]
    columns: tuple[ItemColumn, ...]

    @model_validator(mode="after")
    def _key_is_required(self) -> Self:
        required = {column.name for column in self.columns if column.required}
        if not self.key or not required.issuperset(self.key):
            raise ValueError(f"{self.name}: its key must be columns, and each of them required")
        return self

    @property
    def digest(self) -> str:
        """What changes when the same items would give other rows."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def part_name(table: str, segment: int, segments: int, number: int) -> str:
    """Return the name of the `number`th file (from 1) of a segment (from 1) of a source table."""
    return f"{table}.{segment}-of-{segments}.{number:06}.jsonl"


def table_of_part(name: str) -> str | None:
    """Return the source table that a file's items are of; None for a file of another kind."""
    found = _PART_NAME.fullmatch(name)
    return found["table"] if found else None

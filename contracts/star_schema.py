"""How rows of operational tables become facts and dimensions, declared once per dataset."""

from typing import Literal, Self

from pydantic import Field, model_validator

from contracts.model import Contract

CellKind = Literal["int", "text", "decimal", "bool", "timestamp", "date"]


class SourceColumn(Contract):
    """A column as the source has it; a row without a `required` value is quarantined."""

    name: str
    kind: CellKind
    required: bool = True


class SourceTable(Contract):
    """A polled table with one integer key; columns that are not declared are ignored."""

    name: str
    key: str
    columns: tuple[SourceColumn, ...]


class StarColumn(Contract):
    """A column of a fact or dimension, from the main table or from one that is looked up."""

    name: str
    source: str = Field(description="Column of the main table, or `table.column` of a lookup.")
    take: Literal["value", "date", "time"] = "value"
    values: dict[str, str] = Field(
        default_factory=dict, description="Says what each source value becomes; others quarantine."
    )


class Lookup(Contract):
    """A second source table whose row is found by a column of the main one."""

    table: str
    by: str


class Reference(Contract):
    """A foreign key of a fact: its own column, and the dimension it leads to by its key."""

    column: str
    dimension: str


class Fact(Contract):
    """Every version of a source row, numbered; it waits until all its dimensions are there."""

    name: str
    of: str
    record_id: str = Field(description="Serial number of the version, given by the processor.")
    columns: tuple[StarColumn, ...]
    references: tuple[Reference, ...]


class Dimension(Contract):
    """The latest version of a source row; it waits until its lookups are there."""

    name: str
    of: str
    key: str
    columns: tuple[StarColumn, ...]
    lookups: tuple[Lookup, ...] = ()


class StarSchema(Contract):
    """All of one warehouse. `calendar` is the dimension of days, made from the facts' dates."""

    sources: tuple[SourceTable, ...]
    facts: tuple[Fact, ...]
    dimensions: tuple[Dimension, ...]
    calendar: str

    @model_validator(mode="after")
    def _one_fact_per_table(self) -> Self:
        # Rows of a large packet pass by once, so one fact only can take them.
        sources = [fact.of for fact in self.facts]
        if len(set(sources)) < len(sources):
            raise ValueError(f"two facts are made of one table: {', '.join(sources)}")
        return self

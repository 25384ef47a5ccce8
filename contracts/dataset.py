"""What a dataset declares: its source, its format and how its tables are loaded."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from contracts.drop_table import DropSource
from contracts.item_tables import ItemTable
from contracts.model import Contract
from contracts.period import Period
from contracts.star_schema import StarSchema

LoadMode = Literal["append", "merge", "replace", "replace_period"]
FileFormat = Literal["cdr_bulk", "star_schema", "dynamodb_items", "delimited_text"]


class PortalSource(Contract):
    """A bulk-download page: product, quarter and format are chosen by their visible text."""

    kind: Literal["portal"] = "portal"
    product: str
    file_format: str
    archive_prefix: str = Field(description="Start of the served zip's name, before the date.")
    member_pattern: str = Field(
        description="Full names of data files; groups: table, date (MMDDYYYY), part, parts."
    )


class DatabaseSource(Contract):
    """A PostgreSQL database; each table's new and changed rows become numbered packets."""

    kind: Literal["database"] = "database"
    table_schema: str = Field(default="public", description="Schema of the polled tables.")
    tables: tuple[str, ...] = Field(description="Polled in this order, all in one snapshot.")


class DynamoSource(Contract):
    """DynamoDB tables, scanned whole, each in `segments` side by side."""

    kind: Literal["dynamodb"] = "dynamodb"
    tables: tuple[str, ...] = Field(description="What the scanned tables are called here.")
    table_name: str = Field(
        default="{table}", description="Their names in DynamoDB; may hold `{table}` and `{env}`."
    )
    segments: int = Field(default=4, ge=1, le=1_000, description="At most 16 run at a time.")

    def name_in(self, env: str, table: str) -> str:
        """Return the DynamoDB name of a table in an environment."""
        return self.table_name.format(env=env, table=table)


Source = Annotated[
    PortalSource | DatabaseSource | DynamoSource | DropSource, Field(discriminator="kind")
]


class LoadRule(Contract):
    """How one table is loaded where it differs from its dataset."""

    mode: LoadMode
    key: tuple[str, ...] = ()


class Dataset(Contract):
    """One declaration in `contracts/datasets/`; services look it up by name and read only this."""

    name: str
    table_schema: str
    source: Source
    format: FileFormat = Field(description="Which processor reads the files.")
    first_period: Period | None = Field(
        default=None, description="First period the source has; None: not periodic."
    )
    mode: LoadMode
    key: tuple[str, ...]
    rules: dict[str, LoadRule] = Field(
        default_factory=dict, description="By table, where mode and key are not the dataset's."
    )
    database: str | None = Field(
        default=None,
        description="Target database on the server, `{env}` for the environment; None: its own.",
    )
    star: StarSchema | None = Field(
        default=None, description="Format `star_schema` only: what the packets become."
    )
    items: tuple[ItemTable, ...] = Field(
        default=(), description="Format `dynamodb_items` only: what each table's items become."
    )

    @model_validator(mode="after")
    def _every_scanned_table_is_built(self) -> Self:
        scanned = set(self.source.tables) if isinstance(self.source, DynamoSource) else set()
        if scanned != {builder.of for builder in self.items}:
            raise ValueError(f"{self.name}: `items` and the scanned tables are not of each other")
        return self

    def rule_of(self, table: str) -> LoadRule:
        """Return how a table is loaded."""
        return self.rules.get(table) or LoadRule(mode=self.mode, key=self.key)

    def database_in(self, env: str) -> str | None:
        """Return the name of its own database in an environment, if it has one."""
        return self.database.format(env=env) if self.database else None

"""What a dataset declares: its source, its format and how its tables are loaded."""

from typing import Literal

from pydantic import Field

from contracts.model import Contract
from contracts.period import Period

LoadMode = Literal["append", "merge", "replace", "replace_period"]


class PortalSource(Contract):
    """A bulk-download page: product, quarter and format are chosen by their visible text."""

    kind: Literal["portal"] = "portal"
    product: str
    file_format: str
    archive_prefix: str = Field(description="Start of the served zip's name, before the date.")
    member_pattern: str = Field(
        description="Full names of data files; groups: table, date (MMDDYYYY), part, parts."
    )


class Dataset(Contract):
    """One declaration in `contracts/datasets/`; services look it up by name and read only this."""

    name: str
    table_schema: str
    source: PortalSource
    format: Literal["cdr_bulk"] = Field(description="Which processor reads the files.")
    first_period: Period | None = Field(
        default=None, description="First period the source has; None: not periodic."
    )
    mode: LoadMode
    key: tuple[str, ...]

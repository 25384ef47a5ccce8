"""The type of every reported code, as declared; what is not declared is learnt by the processor."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Literal, cast, get_args

ColumnType = Literal["unknown", "bool", "int", "float", "date", "timestamp", "text"]
_SERIES_LENGTH = 4


@dataclass(frozen=True)
class DeclaredTypes:
    """Types by code (`RCON2170`), and for a whole series where every item has the same (`TEXT`)."""

    by_code: Mapping[str, ColumnType] = field(default_factory=dict)
    by_series: Mapping[str, ColumnType] = field(default_factory=dict)

    def get(self, code: str) -> ColumnType | None:
        """Return the declared type, or None when the code has to be learnt."""
        return self.by_code.get(code) or self.by_series.get(code[:_SERIES_LENGTH])


@cache
def declared_types(dataset: str) -> DeclaredTypes:
    """Read `contracts/datasets/{dataset}_types.csv`; empty for a dataset that has none.

    The file has one line per item and type, followed by the series that report it; item `*` is
    every item of the series. Call reports: measured over all cells of the public files of 2013Q1
    and 2020Q3 and five schedules of other quarters.
    """
    path = files("contracts") / "datasets" / f"{dataset}_types.csv"
    if not path.is_file():
        return DeclaredTypes()
    by_code: dict[str, ColumnType] = {}
    by_series: dict[str, ColumnType] = {}
    for row in csv.DictReader(path.read_text(encoding="ascii").splitlines()):
        if row["type"] not in get_args(ColumnType):
            raise ValueError(f"{path}: item {row['item']} has the unknown type {row['type']!r}")
        kind = cast("ColumnType", row["type"])
        for series in row["series"].split():
            if row["item"] == "*":
                by_series[series] = kind
            else:
                by_code[series + row["item"]] = kind
    return DeclaredTypes(by_code, by_series)

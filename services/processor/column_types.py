"""One type per reported code, for ever: a lattice in which types only widen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

from contracts.column_types import ColumnType, DeclaredTypes

# Each type is contained in those to its right; the two below only in `text`.
_WIDENING: tuple[ColumnType, ...] = ("unknown", "bool", "int", "float", "text")
_APART: frozenset[ColumnType] = frozenset({"date", "timestamp"})
NUMERIC: frozenset[ColumnType] = frozenset({"bool", "int", "float"})

Types = Mapping[str, ColumnType]


def join(left: ColumnType, right: ColumnType) -> ColumnType:
    """Return the narrowest type that holds the values of both."""
    if right in (left, "unknown"):
        return left
    if left == "unknown":
        return right
    if left in _APART or right in _APART:
        return "text"
    return max(left, right, key=_WIDENING.index)


def join_all(types: Iterable[ColumnType]) -> ColumnType:
    """Return the narrowest type that holds the values of all; `unknown` for none."""
    return reduce(join, types, "unknown")


def merge(*registries: Types) -> dict[str, ColumnType]:
    """Join registries code by code."""
    merged: dict[str, ColumnType] = {}
    for registry in registries:
        for code, kind in registry.items():
            merged[code] = join(merged.get(code, "unknown"), kind)
    return merged


@dataclass(frozen=True)
class KnownTypes:
    """What was declared, widened by what was learnt."""

    declared: DeclaredTypes
    learnt: Types

    def get(self, code: str) -> ColumnType:
        """Return the code's type; `unknown` as long as no cell of it has had a value."""
        return join(self.declared.get(code) or "unknown", self.learnt.get(code, "unknown"))

"""Arrow types and PostgreSQL types: which belongs to which, and how types widen.

PostgreSQL types are spelt as its own `format_type` spells them, without spaces after commas.
"""

import re
from functools import cache

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types

from shared.errors import SchemaMismatch

# Each type holds every value of those to its left.
_SCALARS = ("boolean", "smallint", "integer", "bigint", "double precision", "text")
_WHOLE_DIGITS = {"boolean": 1, "smallint": 5, "integer": 10, "bigint": 19}
_MAX_DECIMAL_DIGITS = 38
_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")
# Types that keep their values when written as text; the others have no common wider type.
_PLAIN = frozenset(
    {
        *_SCALARS,
        "real",
        "date",
        "timestamp without time zone",
        "timestamp with time zone",
        "time without time zone",
        "interval",
        "uuid",
        "character varying",
    }
)
_TO_ARROW: dict[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "text": pa.large_string(),
    "date": pa.date32(),
    "timestamp without time zone": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", "UTC"),
    "time without time zone": pa.time64("us"),
    "interval": pa.duration("us"),
    "bytea": pa.large_binary(),
    "uuid": pa.binary(16),
    "jsonb": pa.large_string(),
}


@cache
def postgres_type(arrow: pa.DataType) -> str:
    """Return the column type for values of `arrow`.

    Raises:
        SchemaMismatch: PostgreSQL has no type that holds them.
    """
    if pa.types.is_dictionary(arrow):
        return postgres_type(arrow.value_type)
    if pa.types.is_decimal(arrow):
        return _numeric_for(arrow)
    if pa.types.is_timestamp(arrow):
        return f"timestamp {'with' if arrow.tz else 'without'} time zone"
    if pa.types.is_struct(arrow) or pa.types.is_map(arrow) or isinstance(arrow, pa.JsonType):
        return "jsonb"
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
        inner = postgres_type(arrow.value_type)
        return "jsonb" if inner == "jsonb" or inner.endswith("[]") else f"{inner}[]"
    for holds, name in _FIXED:
        if holds(arrow):
            return name
    raise SchemaMismatch(f"there is no PostgreSQL type for Arrow's {arrow}")


_FIXED = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_uint64, "numeric(20,0)"),
    (pa.types.is_integer, "bigint"),
    (pa.types.is_floating, "double precision"),
    (pa.types.is_string, "text"),
    (pa.types.is_large_string, "text"),
    (pa.types.is_string_view, "text"),
    (pa.types.is_null, "text"),
    (pa.types.is_date, "date"),
    (pa.types.is_time, "time without time zone"),
    (pa.types.is_duration, "interval"),
    (pa.types.is_binary, "bytea"),
    (pa.types.is_large_binary, "bytea"),
    (pa.types.is_binary_view, "bytea"),
    (pa.types.is_fixed_size_binary, "bytea"),
)


def _numeric_for(arrow: pa.DataType) -> str:
    if arrow.precision > _MAX_DECIMAL_DIGITS:
        raise SchemaMismatch(f"{arrow} has more than {_MAX_DECIMAL_DIGITS} digits")
    scale = max(arrow.scale, 0)
    return f"numeric({max(arrow.precision - arrow.scale, 0) + scale},{scale})"


@cache
def arrow_type(postgres: str) -> pa.DataType | None:
    """Return what values must be cast to before they are encoded for a column of this type.

    None: as they are, because the column takes any decimal.

    Raises:
        SchemaMismatch: Quarry does not write columns of this type.
    """
    if postgres.endswith("[]"):
        inner = arrow_type(postgres.removesuffix("[]"))
        return None if inner is None else pa.large_list(inner)
    if postgres.startswith("numeric"):
        return None
    if postgres.startswith("character varying"):
        return pa.large_string()
    try:
        return _TO_ARROW[postgres]
    except KeyError:
        raise SchemaMismatch(f"Quarry does not write columns of type {postgres}") from None


def widest(left: str, right: str) -> str:
    """Return the narrowest type that holds the values of both without loss.

    bool < int < float < text; decimals grow in digits before and after the point, and with floats
    become text, because neither holds the other exactly.

    Raises:
        SchemaMismatch: there is none, as between an array and a number.
    """
    if left == right:
        return left
    if left in _SCALARS and right in _SCALARS:
        return max(left, right, key=_SCALARS.index)
    if left.endswith("[]") and right.endswith("[]"):
        return widest(left.removesuffix("[]"), right.removesuffix("[]")) + "[]"
    first, second = _digits(left), _digits(right)
    if first and second:
        whole, scale = max(first[0], second[0]), max(first[1], second[1])
        return f"numeric({whole + scale},{scale})"
    if {left, right} in ({"real", "double precision"}, {"real", "boolean"}):
        return "double precision"
    if all(_is_plain(kind) for kind in (left, right)):
        return "text"
    raise SchemaMismatch(f"no type holds both {left} and {right}")


def _is_plain(kind: str) -> bool:
    return kind in _PLAIN or kind.startswith(("numeric", "character varying"))


def _digits(kind: str) -> tuple[int, int] | None:
    """Digits before and after the point of an exact number; None for anything else."""
    if kind in _WHOLE_DIGITS:
        return _WHOLE_DIGITS[kind], 0
    found = _NUMERIC.fullmatch(kind)
    return (int(found[1]) - int(found[2]), int(found[2])) if found else None

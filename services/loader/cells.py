"""Values on their way from Arrow to a column: cast to its type, or refused with the row."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # ships no types

from services.loader.columns import arrow_type
from services.loader.postgres import RowRefused

_FIRST_DAY, _LAST_DAY = date(1, 1, 1), date(9999, 12, 31)
_NANOSECONDS = 1000
# Types whose columns hold every value that their Arrow type has.
_UNLIMITED = frozenset(
    {
        "boolean",
        "smallint",
        "integer",
        "bigint",
        "real",
        "double precision",
        "text",
        "bytea",
        "uuid",
    }
)


class _Unfit(ValueError):
    """A value does not fit; carries the row inside the batch if it is known."""

    def __init__(self, reason: str, row: int | None = None) -> None:
        super().__init__(reason)
        self.row = row


def fitted(values: pa.Array, target: str, *, column: str, first_row: int) -> pa.Array:
    """Return `values` as the encoder needs them for a column of PostgreSQL type `target`.

    Nanoseconds must be whole microseconds, days must lie in the years 1 to 9999 and integers must
    be exact as floats: nothing is rounded or cut.

    Raises:
        RowRefused: a value does not fit; the message names the column and, counted from 1 in the
            file, the row.
    """
    if target in _UNLIMITED and values.type == arrow_type(target):
        return values
    try:
        return _fitted(values, target)
    except _Unfit as error:
        place = "" if error.row is None else f" in row {first_row + error.row + 1}"
        raise RowRefused(f"column {column}{place}: {error}") from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        rows = f"rows {first_row + 1} to {first_row + len(values)}"
        raise RowRefused(f"column {column}, {rows}: {error}") from error


def _fitted(values: pa.Array, target: str) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if isinstance(values.type, pa.JsonType):
        return values.storage.cast(pa.large_string())
    if target == "jsonb":
        return _as_json(values)
    if pa.types.is_timestamp(values.type) or pa.types.is_time64(values.type):
        values = _whole_microseconds(values)
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        _check_years(values)
    wanted = arrow_type(target)
    if wanted is None:
        return _as_decimals(values) if target.endswith("[]") else _as_decimal(values)
    if values.type == wanted or (pa.types.is_string(values.type) and target == "text"):
        return values
    return values.cast(wanted)


def _as_decimal(values: pa.Array) -> pa.Array:
    if pa.types.is_decimal(values.type):
        return values.cast(pa.decimal128(values.type.precision, values.type.scale))
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int64())
    return values.cast(pa.decimal128(20, 0))


def _as_decimals(values: pa.Array) -> pa.Array:
    inner = values.type.value_type
    if pa.types.is_decimal(inner):
        return values.cast(pa.large_list(pa.decimal128(inner.precision, inner.scale)))
    return values.cast(pa.large_list(pa.decimal128(20, 0)))


def _whole_microseconds(values: pa.Array) -> pa.Array:
    if values.type.unit != "ns":
        return values
    counts = values.cast(pa.int64())
    micros = pc.divide(counts, _NANOSECONDS)
    fraction = pc.not_equal(pc.multiply(micros, _NANOSECONDS), counts)
    _refuse(fraction, "has nanoseconds; PostgreSQL stores microseconds and Quarry does not round")
    if pa.types.is_time64(values.type):
        return values.cast(pa.time64("us"))
    return values.cast(pa.timestamp("us", values.type.tz))


def _check_years(values: pa.Array) -> None:
    first, last = pa.scalar(_FIRST_DAY), pa.scalar(_LAST_DAY)
    if pa.types.is_timestamp(values.type):
        unit = values.type.unit
        per_day = 86_400 * {"s": 1, "ms": 10**3, "us": 10**6}[unit]
        epoch = date(1970, 1, 1)
        counts = values.cast(pa.int64())
        low = (_FIRST_DAY - epoch).days * per_day
        high = ((_LAST_DAY - epoch).days + 1) * per_day - 1
        outside = pc.or_(pc.less(counts, low), pc.greater(counts, high))
    else:
        days = values.cast(pa.date32())
        outside = pc.or_(pc.less(days, first), pc.greater(days, last))
    _refuse(outside, "is outside the years 1 to 9999")


def _refuse(faulty: pa.BooleanArray, reason: str) -> None:
    row = pc.index(faulty, value=True).as_py()
    if row >= 0:
        raise _Unfit(reason, row)


def _as_json(values: pa.Array) -> pa.Array:
    texts = [
        None if value is None else json.dumps(value, default=_json_value, allow_nan=False)
        for value in values.to_pylist()
    ]
    return pa.array(texts, pa.large_string())


def _json_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise _Unfit(f"holds a {type(value).__name__}, which JSON has no form for")

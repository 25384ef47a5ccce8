"""Random tables with columns of every type that a load takes."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
from hypothesis import strategies as st

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
STAMPS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999))  # noqa: DTZ001  # columns without zone
DECIMALS = st.decimals(-(10**16), 10**16, allow_nan=False, places=4)
VALUES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "bigs": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "bytes": (pa.uint8(), st.integers(0, 255)),
    "unsigned": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "floats": (pa.float64(), st.floats()),
    "decimals": (pa.decimal128(38, 4), DECIMALS),
    "flags": (pa.bool_(), st.booleans()),
    "texts": (pa.string(), TEXT),
    "views": (pa.string_view(), TEXT),
    "codes": (pa.dictionary(pa.int32(), pa.string()), TEXT),
    "blobs": (pa.binary(), st.binary(max_size=20)),
    "days": (pa.date32(), st.dates(date(1, 1, 1), date(9999, 12, 31))),
    "stamps": (pa.timestamp("us"), STAMPS),
    "moments": (pa.timestamp("us", "UTC"), STAMPS.map(lambda stamp: stamp.replace(tzinfo=UTC))),
    "times": (pa.time64("us"), st.times()),
    "spans": (pa.duration("us"), st.timedeltas(timedelta(days=-99999), timedelta(days=99999))),
    "labels": (pa.list_(pa.string()), st.lists(st.none() | TEXT, max_size=3)),
    "numbers": (pa.list_(pa.int64()), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3)),
    "nested": (
        pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))]),
        st.fixed_dictionaries({"a": st.integers(0, 9), "b": st.lists(TEXT, max_size=2)}),
    ),
}


@st.composite
def tables(draw: st.DrawFn, names: Sequence[str] | None = None, max_rows: int = 6) -> pa.Table:
    """Draw a table of these columns, or of a few, and of the row's number."""
    if names is None:
        names = draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=6))
    rows = draw(st.integers(0, max_rows))
    columns = {}
    for name in names:
        kind, values = VALUES[name]
        cells = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        if pa.types.is_dictionary(kind):
            columns[name] = pa.array(cells, pa.string()).dictionary_encode()
        else:
            columns[name] = pa.array(cells, kind)
    columns["row_number"] = pa.array(range(rows), pa.int64())
    return pa.table(columns)

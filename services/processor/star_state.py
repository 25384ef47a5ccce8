"""What the star schema remembers between packets, and how packets move it on. Pure.

The latest raw row of every source table that feeds a dimension is kept, rather than read back from
the dimensions: a dimension does not hold the keys it was joined by, its load may still be under
way, and the processor has no access to the database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from contracts.star_schema import Fact, StarSchema
from services.processor.star_cells import PACKET, ROW, PacketRows, row_schema
from services.processor.star_tables import (
    Frames,
    Span,
    complete,
    days_between,
    dimension_rows,
    fact_rows,
    fact_schema,
    newest,
    source_named,
    span_of,
    tables_of_dimensions,
    touched_keys,
    wider,
)
from shared.errors import RowsUnaccounted


@dataclass(frozen=True)
class StarState:
    """All that is needed to apply the next packet, whichever it is.

    `latest`: newest row by key, per source table of a dimension. `waiting`: facts whose dimensions
    are not all there, per fact. `serials`: the last record id given, per fact. `span`: the days
    the calendar has.
    """

    latest: Frames
    waiting: Frames
    serials: Mapping[str, int] = field(default_factory=dict)
    span: Span | None = None

    @classmethod
    def empty(cls, star: StarSchema) -> "StarState":
        """Return the state before the first packet."""
        return cls(
            latest={
                name: pl.DataFrame(schema=row_schema(source_named(star, name)))
                for name in sorted(tables_of_dimensions(star))
            },
            waiting={
                fact.name: pl.DataFrame(schema=fact_schema(star, fact)) for fact in star.facts
            },
        )


@dataclass(frozen=True)
class Step:
    """What packets made: rows to load by table (none empty), and the next state.

    `put_aside` and `released` count facts that began and ended to wait for a dimension.
    """

    tables: Frames
    state: StarState
    put_aside: int
    released: int


def advance(
    star: StarSchema, state: StarState, packets: Mapping[str, Sequence[PacketRows]]
) -> Step:
    """Apply the packets of any source tables, in any order of ids, to the state.

    Raises:
        RowsUnaccounted: a fact would be lost.
    """
    arrived = {name: pl.concat([each.rows for each in own]) for name, own in packets.items() if own}
    latest = {
        name: newest(known, arrived[name], source_named(star, name).key)
        if name in arrived
        else known
        for name, known in state.latest.items()
    }
    tables: dict[str, pl.DataFrame] = {}
    keys: dict[str, pl.Series] = {}
    for dimension in star.dimensions:
        rows = dimension_rows(star, dimension, latest)
        keys[dimension.name] = rows[dimension.key]
        touched = touched_keys(star, dimension, latest, arrived)
        tables[dimension.name] = rows.filter(pl.col(dimension.key).is_in(touched.implode()))
    waiting: dict[str, pl.DataFrame] = {}
    serials = dict(state.serials)
    span = state.span
    put_aside = released = 0
    for fact in star.facts:
        new = fact_rows(fact, arrived[fact.of]) if fact.of in arrived else None
        held = state.waiting[fact.name]
        whole, parts = _settle(fact, held, new, complete(star, fact, keys))
        tables[fact.name] = _numbered(fact, whole, serials.get(fact.name, 0))
        waiting[fact.name] = parts
        serials[fact.name] = serials.get(fact.name, 0) + whole.height
        span = wider(span, span_of(star, fact, whole))
        still = held.join(parts, on=[PACKET, ROW], how="semi").height
        released += held.height - still
        put_aside += parts.height - still
    if span is not None and span != state.span:
        tables[star.calendar] = days_between(span, state.span)
    return Step(
        tables={name: frame for name, frame in tables.items() if frame.height},
        state=StarState(latest, waiting, serials, span),
        put_aside=put_aside,
        released=released,
    )


def _settle(
    fact: Fact, held: pl.DataFrame, new: pl.DataFrame | None, is_complete: pl.Expr
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part facts, old and new, into those that can go and those that wait."""
    candidates = (held if new is None else pl.concat([held, new])).sort(PACKET, ROW)
    marked = candidates.with_columns(is_complete.alias("quarry complete"))
    whole = marked.filter(pl.col("quarry complete")).drop("quarry complete")
    parts = marked.filter(~pl.col("quarry complete")).drop("quarry complete")
    if whole.height + parts.height != candidates.height:
        raise RowsUnaccounted(
            f"{fact.name}: {candidates.height} rows, {whole.height} complete and {parts.height} not"
        )
    return whole, parts


def _numbered(fact: Fact, rows: pl.DataFrame, last: int) -> pl.DataFrame:
    return rows.select(
        (pl.int_range(1, pl.len() + 1, dtype=pl.Int64) + last).alias(fact.record_id),
        pl.all().exclude(PACKET),
    )

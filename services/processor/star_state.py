"""What the star schema remembers between packets, and how packets move it on. Pure.

The latest raw row of every source table that feeds a dimension is kept, rather than read back from
the dimensions: a dimension does not hold the keys it was joined by, its load may still be under
way, and the processor has no access to the database.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from contracts.star_schema import Fact, StarSchema
from services.processor.star_cells import PACKET, PacketRows, row_schema
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

Emit = Callable[[str, pl.DataFrame], None]
_COMPLETE = "quarry complete"


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
    """The state after some packets; how many facts began and ended to wait for a dimension."""

    state: StarState
    put_aside: int
    released: int


def advance(
    star: StarSchema,
    state: StarState,
    packets: Mapping[str, Iterable[PacketRows]],
    emit: Emit,
) -> Step:
    """Apply packets, by source table and in any order of ids, to the state.

    `emit` gets the rows to load, a table's in one or more frames, none of them empty. Only tables
    that feed dimensions are held in memory; those of facts pass through part by part.

    Raises:
        RowsUnaccounted: a fact would be lost.
    """
    arrived = {
        name: pl.concat([state.latest[name].clear(), *(part.rows for part in packets[name])])
        for name in state.latest
        if name in packets
    }
    latest = {
        name: newest(known, arrived[name], source_named(star, name).key)
        if name in arrived
        else known
        for name, known in state.latest.items()
    }
    keys: dict[str, pl.Series] = {}
    for dimension in star.dimensions:
        rows = dimension_rows(star, dimension, latest)
        keys[dimension.name] = rows[dimension.key]
        touched = touched_keys(star, dimension, latest, arrived)
        changed = rows.filter(pl.col(dimension.key).is_in(touched.implode()))
        _emit_filled(emit, dimension.name, changed)
    after = StarState(latest, dict(state.waiting), dict(state.serials), state.span)
    released = put_aside = 0
    for fact in star.facts:
        is_complete = complete(star, fact, keys)
        after, whole, waits = _settle(star, fact, after, state.waiting[fact.name], is_complete)
        _emit_filled(emit, fact.name, whole)
        released += whole.height
        waiting = [waits]
        held = [arrived[fact.of]] if fact.of in arrived else None
        for rows in held or (part.rows for part in packets.get(fact.of, ())):
            new = fact_rows(fact, rows)
            after, whole, waits = _settle(star, fact, after, new, is_complete)
            _emit_filled(emit, fact.name, whole)
            put_aside += waits.height
            waiting.append(waits)
        after = replace(after, waiting={**after.waiting, fact.name: pl.concat(waiting)})
    if after.span is not None and after.span != state.span:
        _emit_filled(emit, star.calendar, days_between(after.span, state.span))
    return Step(after, put_aside, released)


def _settle(
    star: StarSchema, fact: Fact, state: StarState, rows: pl.DataFrame, is_complete: pl.Expr
) -> tuple[StarState, pl.DataFrame, pl.DataFrame]:
    """Number the rows that can go; return the state with serial and span, those, and the rest."""
    marked = rows.with_columns(is_complete.alias(_COMPLETE))
    whole = marked.filter(pl.col(_COMPLETE)).drop(_COMPLETE)
    waits = marked.filter(~pl.col(_COMPLETE)).drop(_COMPLETE)
    if whole.height + waits.height != rows.height:
        raise RowsUnaccounted(
            f"{fact.name}: {rows.height} rows, {whole.height} complete and {waits.height} not"
        )
    last = state.serials.get(fact.name, 0)
    numbered = whole.select(
        (pl.int_range(1, pl.len() + 1, dtype=pl.Int64) + last).alias(fact.record_id),
        pl.all().exclude(PACKET),
    )
    moved = replace(
        state,
        serials={**state.serials, fact.name: last + whole.height},
        span=wider(state.span, span_of(star, fact, whole)),
    )
    return moved, numbered, waits


def _emit_filled(emit: Emit, table: str, rows: pl.DataFrame) -> None:
    if rows.height:
        emit(table, rows)

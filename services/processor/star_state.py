"""What the star schema remembers between packets, and how packets move it on. Pure.

The latest raw row of every source table that a dimension is joined from is kept, rather than read
back from the dimensions: a dimension does not hold the keys it was joined by, its load may still be
under way, and the processor has no access to the database. Of a table that alone makes a dimension
only keys and the packets they came with are kept: such a table may have millions of rows.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
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
    stands_alone,
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

    `latest`: newest row by key, per source table of a dimension; key and packet only where
    `stands_alone`. `waiting`: facts whose dimensions
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
                name: pl.DataFrame(
                    schema={source_named(star, name).key: pl.Int64(), PACKET: pl.Int64()}
                    if stands_alone(star, name)
                    else row_schema(source_named(star, name))
                )
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
    packets: Mapping[str, Mapping[int, Iterable[PacketRows]]],
    emit: Emit,
) -> Step:
    """Apply packets, by source table and id, to the state.

    `emit` gets the rows to load, a table's in one or more frames, none of them empty, and of a
    dimension no key twice. Only tables that dimensions are joined from are held in memory; the
    others pass through part by part.

    Raises:
        RowsUnaccounted: a fact would be lost.
    """
    arrived: dict[str, pl.DataFrame] = {}
    latest = dict(state.latest)
    for name, known in state.latest.items():
        if name not in packets:
            continue
        if stands_alone(star, name):
            latest[name] = _pass_on(star, name, known, packets[name], emit)
        else:
            parts = _in_order(packets[name])
            arrived[name] = pl.concat([known.clear(), *(part.rows for part in parts)])
            latest[name] = newest(known, arrived[name], source_named(star, name).key)
    keys: dict[str, pl.Series] = {}
    for dimension in star.dimensions:
        if stands_alone(star, dimension.of):
            keys[dimension.name] = latest[dimension.of][source_named(star, dimension.of).key]
            continue
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
        for rows in held or (part.rows for part in _in_order(packets.get(fact.of, {}))):
            new = fact_rows(fact, rows)
            after, whole, waits = _settle(star, fact, after, new, is_complete)
            _emit_filled(emit, fact.name, whole)
            put_aside += waits.height
            waiting.append(waits)
        after = replace(after, waiting={**after.waiting, fact.name: pl.concat(waiting)})
    if after.span is not None and after.span != state.span:
        _emit_filled(emit, star.calendar, days_between(after.span, state.span))
    return Step(after, put_aside, released)


def _in_order(packets: Mapping[int, Iterable[PacketRows]]) -> Iterator[PacketRows]:
    return (part for packet_id in sorted(packets) for part in packets[packet_id])


def _pass_on(
    star: StarSchema,
    table: str,
    known: pl.DataFrame,
    packets: Mapping[int, Iterable[PacketRows]],
    emit: Emit,
) -> pl.DataFrame:
    """Emit a table's dimensions as its parts pass by; return the keys known then.

    The newest packet comes first, so that no key is emitted twice.
    """
    key = source_named(star, table).key
    for packet_id in sorted(packets, reverse=True):
        newer = known.filter(pl.col(PACKET) > packet_id)[key]
        parts = [known.clear()]
        for part in packets[packet_id]:
            rows = part.rows.filter(~pl.col(key).is_in(newer.implode()))
            for dimension in star.dimensions:
                if dimension.of == table:
                    made = dimension_rows(star, dimension, {table: rows})
                    _emit_filled(emit, dimension.name, made)
            parts.append(rows.select(key, PACKET))
        fresh = pl.concat(parts)
        known = pl.concat([known.join(fresh, on=key, how="anti", maintain_order="left"), fresh])
    return known


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

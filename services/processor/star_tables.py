"""Facts, dimensions and the calendar from typed source rows. Pure."""

from collections.abc import Mapping
from datetime import date

import polars as pl

from contracts.star_schema import Dimension, Fact, SourceTable, StarColumn, StarSchema
from services.processor.star_cells import FILE, LINEAGE, PACKET, ROW, TYPES

Frames = Mapping[str, pl.DataFrame]
Span = tuple[date, date]

_CALENDAR_FILE = "calendar"


def tables_of_dimensions(star: StarSchema) -> frozenset[str]:
    """Return the source tables whose latest rows have to be kept."""
    return frozenset(
        name
        for dimension in star.dimensions
        for name in (dimension.of, *(lookup.table for lookup in dimension.lookups))
    )


def stands_alone(star: StarSchema, table: str) -> bool:
    """Say whether a source table makes dimensions without any other, and nothing else."""
    made = [dimension for dimension in star.dimensions if dimension.of == table]
    elsewhere = {lookup.table for each in star.dimensions for lookup in each.lookups}
    elsewhere |= {fact.of for fact in star.facts}
    return table not in elsewhere and not any(each.lookups for each in made)


def source_named(star: StarSchema, name: str) -> SourceTable:
    """Return a source table's declaration."""
    return next(source for source in star.sources if source.name == name)


def newest(known: pl.DataFrame, new: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return one row per key, from the highest packet, in whatever order packets arrive."""
    return (
        pl.concat([known, new])
        .sort(key, PACKET, maintain_order=True)
        .unique(key, keep="last", maintain_order=True)
    )


def dimension_rows(star: StarSchema, dimension: Dimension, latest: Frames) -> pl.DataFrame:
    """Join the latest rows of all tables of a dimension; a row whose lookups miss is left out."""
    joined = latest[dimension.of]
    for lookup in dimension.lookups:
        key = source_named(star, lookup.table).key
        other = latest[lookup.table].select(
            pl.all().exclude(*LINEAGE).name.prefix(f"{lookup.table}.")
        )
        joined = joined.join(other, left_on=lookup.by, right_on=f"{lookup.table}.{key}")
    return joined.select(*(_taken(column) for column in dimension.columns), FILE, ROW).sort(
        dimension.key
    )


def touched_keys(
    star: StarSchema, dimension: Dimension, latest: Frames, arrived: Frames
) -> pl.Series:
    """Return the keys of a dimension that new rows of any of its tables may have changed."""
    main = latest[dimension.of]
    key = source_named(star, dimension.of).key
    touched = [arrived[dimension.of][key]] if dimension.of in arrived else []
    for lookup in dimension.lookups:
        if lookup.table in arrived:
            changed = arrived[lookup.table][source_named(star, lookup.table).key]
            touched.append(main.filter(pl.col(lookup.by).is_in(changed.implode()))[key])
    return pl.concat(touched).unique() if touched else pl.Series(key, [], pl.Int64())


def fact_rows(fact: Fact, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the fact's columns of source rows, still without record id."""
    return rows.select(*(_taken(column) for column in fact.columns), *LINEAGE)


def fact_schema(star: StarSchema, fact: Fact) -> dict[str, pl.DataType]:
    """Return the columns of a fact without record id."""
    kinds = {column.name: column.kind for column in source_named(star, fact.of).columns}
    taken = {"value": None, "date": pl.Date(), "time": pl.Time()}
    return {
        column.name: taken[column.take] or TYPES[kinds[column.source]] for column in fact.columns
    } | LINEAGE


def complete(star: StarSchema, fact: Fact, keys: Mapping[str, pl.Series]) -> pl.Expr:
    """Say which rows of a fact have all their dimensions; the calendar is made to fit."""
    found = [
        pl.col(each.column).is_null() | _is_among(pl.col(each.column), keys[each.dimension])
        for each in fact.references
        if each.dimension != star.calendar
    ]
    return pl.all_horizontal(found) if found else pl.lit(value=True)


def _is_among(column: pl.Expr, keys: pl.Series) -> pl.Expr:
    """Say which values are among the keys; `is_in` would hash millions of them for every part."""
    ordered = keys.sort()

    def look(values: pl.Series) -> pl.Series:
        if ordered.is_empty():
            return pl.repeat(value=False, n=values.len(), eager=True)
        places = ordered.search_sorted(values.fill_null(0)).clip(0, ordered.len() - 1)
        return ordered.gather(places) == values

    return column.map_batches(look, return_dtype=pl.Boolean())


def span_of(star: StarSchema, fact: Fact, rows: pl.DataFrame) -> Span | None:
    """Return the first and last day that rows of a fact refer to."""
    columns = [each.column for each in fact.references if each.dimension == star.calendar]
    days = [day for name in columns for day in (rows[name].min(), rows[name].max())]
    known = [day for day in days if isinstance(day, date)]
    return (min(known), max(known)) if known else None


def days_between(span: Span, without: Span | None) -> pl.DataFrame:
    """Return the calendar of a span, less the days of a span inside it; Monday is day 1."""
    days = pl.date_range(span[0], span[1], "1d", eager=True).alias("date_id")
    frame = pl.DataFrame(days)
    if without is not None:
        frame = frame.filter(~pl.col("date_id").is_between(*without))
    day = pl.col("date_id")
    return frame.select(
        day,
        day.dt.year().cast(pl.Int64).alias("year"),
        day.dt.month().cast(pl.Int64).alias("month"),
        day.dt.day().cast(pl.Int64).alias("day"),
        day.dt.weekday().cast(pl.Int64).alias("day_of_week"),
        day.dt.strftime("%A").alias("day_name"),
        day.dt.strftime("%B").alias("month_name"),
        day.dt.quarter().cast(pl.Int64).alias("quarter"),
        pl.lit(_CALENDAR_FILE).alias(FILE),
        day.dt.epoch("d").cast(pl.Int64).alias(ROW),
    )


def wider(span: Span | None, other: Span | None) -> Span | None:
    """Return the span from the earliest to the latest day of both."""
    if span is None or other is None:
        return span or other
    return min(span[0], other[0]), max(span[1], other[1])


def _taken(column: StarColumn) -> pl.Expr:
    value = pl.col(column.source)
    if column.values:
        value = value.replace_strict(column.values, default=None, return_dtype=pl.String)
    if column.take == "date":
        value = value.dt.date()
    elif column.take == "time":
        value = value.dt.time()
    return value.alias(column.name)

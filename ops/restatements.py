"""What restated quarters changed: the loader's history, counted and listed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.loader.postgres import Connection

# The period is part of every row's key; what is left names the bank.
_CHANGES = """
SELECT v.*, v.table_schema || '.' || v.table_name AS place,
       (SELECT string_agg(k.value, ' ' ORDER BY k.key) FROM jsonb_each_text(v.key) AS k
        WHERE k.key <> 'period_end') AS bank
FROM quarry.restated_value AS v JOIN quarry.load AS l ON l.load_id = v.replaced_by
WHERE l.dataset = $1 AND ($2::text IS NULL OR v.period = $2)
"""
_TALLIES = f"""
SELECT c.bank, count(*) FILTER (WHERE kind = 'changed') AS values,
       count(*) FILTER (WHERE kind = 'added') AS added,
       count(*) FILTER (WHERE kind = 'removed') AS removed,
       array_agg(DISTINCT c.place) AS tables, array_agg(DISTINCT c.period) AS periods
FROM ({_CHANGES}) AS c WHERE $3::text IS NULL OR c.bank = $3
GROUP BY GROUPING SETS ((), (c.bank)) ORDER BY grouping(c.bank) DESC, count(*) DESC, c.bank
"""  # noqa: S608  # the text above
_VALUES = f"""
SELECT c.bank, c.place AS table, c.period, c.kind, c.column_name AS column, c.old::text,
       c.new::text, c.known_since, c.replaced_at, c.replaced_by::text AS load_id
FROM ({_CHANGES}) AS c WHERE $3::text IS NULL OR c.bank = $3
ORDER BY c.replaced_at, c.period, c.place, c.bank, c.column_name
"""  # noqa: S608  # the text above


@dataclass(frozen=True)
class Tally:
    """How much changed for one bank, or for all (`bank` is None): values, and whole rows."""

    bank: str | None
    values: int
    added: int
    removed: int
    tables: Sequence[str]
    periods: Sequence[str]


@dataclass(frozen=True)
class RestatedValue:
    """One value that changed, as JSON text, or one row that came or went (no `column` then)."""

    bank: str
    table: str
    period: str
    kind: str
    column: str | None
    old: str | None
    new: str | None
    known_since: datetime | None
    replaced_at: datetime
    load_id: str


@dataclass(frozen=True)
class Restatements:
    """What changed in total and per bank, the most changed first; values if asked for."""

    total: Tally
    banks: Sequence[Tally]
    values: Sequence[RestatedValue]


async def read_restatements(
    connection: Connection,
    *,
    dataset: str,
    period: str | None = None,
    bank: str | None = None,
    with_values: bool = False,
) -> Restatements:
    """Read what the loader kept of one quarter or all, of one bank or all."""
    nothing = Tally(None, 0, 0, 0, (), ())
    if not await connection.fetchval("SELECT to_regclass('quarry.restated_value') IS NOT NULL"):
        return Restatements(nothing, (), ())
    rows = await connection.fetch(_TALLIES, dataset, period, bank)
    total, *banks = (
        Tally(
            row["bank"],
            row["values"],
            row["added"],
            row["removed"],
            row["tables"] or (),
            row["periods"] or (),
        )
        for row in rows
    )
    values = await connection.fetch(_VALUES, dataset, period, bank) if with_values else []
    return Restatements(total, banks, [RestatedValue(**row) for row in values])

"""Restatements: what a quarter that is loaded again changes, kept so that the past can be asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.loader.migrate import Table
from services.loader.postgres import Connection
from services.loader.sql import literal, qualified, quoted, short_name


@dataclass(frozen=True)
class Restating:
    """The load that replaces a period, and when: the moment it got the table's lock."""

    load_id: UUID
    period: str
    moment: datetime


async def keep(
    connection: Connection,
    restating: Restating,
    *,
    kind: str,
    table: Table,
    key: Sequence[str],
    rows: str,
    columns: Sequence[str] = (),
    lineage: Sequence[str] = (),
) -> None:
    """Write down rows that are about to change.

    `rows` is the SQL after FROM: the old row is called `t`, the new one `s`. Of changed rows only
    `columns` that differ are kept, and the old version's `lineage`.
    """
    keyed = "t" if kind != "added" else "s"
    pairs = ", ".join(f"{literal(name)}, {keyed}.{quoted(name)}" for name in key)
    old, new, source = _versions(kind)
    await connection.execute(
        "INSERT INTO quarry.restatement (table_schema, table_name, period, key, kind, old, new,"  # noqa: S608  # quoted names
        f" known_from, replaced_by, replaced_at) SELECT $1, $2, $3, jsonb_build_object({pairs}),"
        f" $4, {old}, {new}, {source}, $5, $6 FROM {rows}",
        table.schema,
        table.name,
        restating.period,
        kind,
        restating.load_id,
        restating.moment,
        *((list(columns), list(lineage)) if kind == "changed" else ()),
    )


def _versions(kind: str) -> tuple[str, str, str]:
    """SQL for the old version, the new one, and the load that brought the old one."""
    if kind == "added":
        return "NULL", "NULL", "NULL::uuid"
    if kind == "removed":
        return "to_jsonb(t)", "NULL", "t.load_id"
    # Both rows are taken apart once: asking `to_jsonb(s) -> key` per cell makes the row again
    # for every cell, which took minutes for a quarter of 700 columns.
    cells = "jsonb_each(to_jsonb(t)) AS o JOIN jsonb_each(to_jsonb(s)) AS n ON n.key = o.key"
    changed = "o.key = ANY($7::text[]) AND o.value IS DISTINCT FROM n.value"
    old = (
        f"(SELECT jsonb_object_agg(o.key, o.value) FROM {cells}"  # noqa: S608  # no names in it
        f" WHERE {changed} OR o.key = ANY($8::text[]))"
    )
    new = f"(SELECT jsonb_object_agg(n.key, n.value) FROM {cells} WHERE {changed})"  # noqa: S608  # no names in it
    return old, new, "t.load_id"


def as_of_name(table: str) -> str:
    """Return the name of the function that shows a table as it was known."""
    return short_name(f"{table}_as_of")


def as_of_function(table: Table, key: Sequence[str]) -> str:
    """Return the statement that creates `schema.table_as_of(moment)`.

    It takes today's rows and undoes what was restated after the moment; a period is known from
    its first load on. The body is text, so new and widened columns need no new function; true and
    false kept from before a column became a number are 1 and 0, as the column's own values became.
    """
    function = qualified(table.schema, as_of_name(table.name))
    where = f"table_schema = {literal(table.schema)} AND table_name = {literal(table.name)}"
    same = " AND ".join(f"t.{quoted(name)} = k.{quoted(name)}" for name in key)
    return f"""CREATE OR REPLACE FUNCTION {function}(moment timestamptz)
RETURNS SETOF {table.sql} LANGUAGE sql STABLE AS $quarry$
WITH known AS (
    SELECT period_end FROM quarry.load WHERE {where} AND outcome = 'loaded'
    GROUP BY period_end HAVING min(loaded_at) <= moment
), later AS MATERIALIZED (
    SELECT restatement_id, key, kind, old FROM quarry.restatement
    WHERE {where} AND replaced_at > moment
), number AS MATERIALIZED (
    SELECT attname::text AS name FROM pg_attribute
    WHERE attrelid = {literal(table.sql)}::regclass AND NOT attisdropped AND atttypid = ANY (
        '{{smallint,integer,bigint,real,double precision,numeric}}'::regtype[])
), undone AS MATERIALIZED (
    SELECT later.key, (array_agg(later.kind ORDER BY restatement_id))[1] AS next_kind,
           jsonb_object_agg(cell.key, CASE
               WHEN jsonb_typeof(cell.value) = 'boolean' AND number.name IS NOT NULL
               THEN to_jsonb(cell.value::boolean::integer) ELSE cell.value
           END ORDER BY restatement_id DESC) FILTER (WHERE cell.key IS NOT NULL) AS old
    FROM later LEFT JOIN LATERAL jsonb_each(later.old) AS cell ON true
    LEFT JOIN number ON number.name = cell.key
    GROUP BY later.key
)
SELECT t.* FROM {table.sql} AS t
WHERE t."period_end" IN (SELECT period_end FROM known) AND NOT EXISTS (
    SELECT FROM undone CROSS JOIN LATERAL jsonb_populate_record(NULL::{table.sql}, undone.key) AS k
    WHERE {same})
UNION ALL
SELECT past.*
FROM undone
CROSS JOIN LATERAL jsonb_populate_record(NULL::{table.sql}, undone.key) AS k
LEFT JOIN {table.sql} AS t ON {same}
CROSS JOIN LATERAL jsonb_populate_record(t, undone.old) AS past
WHERE undone.next_kind <> 'added' AND k."period_end" IN (SELECT period_end FROM known)
$quarry$"""  # noqa: S608  # quoted names

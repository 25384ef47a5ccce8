"""The loads that are in place, as the ledger has them."""

from dataclasses import dataclass
from typing import Any

from contracts import LoadTable, S3Object
from services.loader.postgres import Database

# Of tables that are replaced the newest load counts, of the others every load.
_IN_PLACE = """
SELECT * FROM (
    SELECT *, row_number() OVER (PARTITION BY table_schema, table_name, period
                                 ORDER BY as_of DESC, loaded_at DESC) AS age
    FROM quarry.load WHERE outcome IN ('loaded', 'unchanged')
      AND ($1::text IS NULL OR dataset = $1) AND ($2::text IS NULL OR period = $2)
) AS l WHERE age = 1 OR mode IN ('append', 'merge')
ORDER BY table_schema, table_name, as_of, loaded_at
"""


@dataclass(frozen=True)
class LedgerLine:
    """A load in place, with its message's fields; `unchanged` ones left the rows as they were."""

    declaration: LoadTable
    run_id: str
    outcome: str

    @property
    def name(self) -> str:
        """The load as people say it."""
        return self.declaration.part


async def loads_in_place(
    database: Database, dataset: str | None, period: str | None
) -> list[LedgerLine]:
    """Return the loads whose rows make up the tables, by table, the oldest first."""
    async with database.connection() as connection:
        if not await connection.fetchval("SELECT to_regclass('quarry.load') IS NOT NULL"):
            return []
        rows = await connection.fetch(_IN_PLACE, dataset, period)
        keys = await connection.fetch(
            "SELECT n.nspname || '.' || c.relname AS name, array_agg(a.attname) AS key"
            " FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey)"
            " WHERE i.indisprimary GROUP BY 1"
        )
    key_of = {row["name"]: tuple(row["key"]) for row in keys}
    return [LedgerLine(_declared(row, key_of), row["run_id"], row["outcome"]) for row in rows]


def _declared(row: Any, key_of: dict[str, tuple[str, ...]]) -> LoadTable:
    return LoadTable(
        dataset=row["dataset"],
        load_id=row["load_id"],
        table_schema=row["table_schema"],
        table=row["table_name"],
        period=row["period"],
        period_end=row["period_end"],
        mode=row["mode"],
        key=key_of.get(f"{row['table_schema']}.{row['table_name']}", ()),
        object=S3Object(
            bucket=row["object_bucket"],
            key=row["object_key"],
            bytes=row["object_bytes"],
            sha256=row["object_sha256"],
        ),
        rows=row["rows"],
        schema_fingerprint=row["schema_fingerprint"],
        content_digest=row["content_digest"],
        manifest_key=row["manifest_key"],
        as_of=row["as_of"],
    )

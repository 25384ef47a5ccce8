"""The SQL for analysts that a dataset ships, applied beside its tables."""

import hashlib

from contracts.curated import curated_sql
from services.loader.postgres import Connection
from services.loader.sql import lock_key

# A schema that was dropped and made again has another oid, so it gets its functions anew.
_APPLIED = """
SELECT EXISTS (SELECT FROM quarry.curated
               WHERE dataset = $1 AND digest = $2 AND schema_oid = to_regnamespace(quote_ident($3)))
"""
_RECORD = """
INSERT INTO quarry.curated (dataset, digest, schema_oid, applied_at)
VALUES ($1, $2, to_regnamespace(quote_ident($3)), clock_timestamp())
ON CONFLICT (dataset) DO UPDATE SET digest = excluded.digest, schema_oid = excluded.schema_oid,
    applied_at = excluded.applied_at
"""


async def curate(connection: Connection, dataset: str, schema: str) -> bool:
    """Apply the dataset's script if the schema does not have it as it is now; say whether it did.

    Where another loader is at it, nothing is done: no load waits for this.

    Raises:
        asyncpg.PostgresError: the script was refused; nothing of it is applied.
    """
    script = curated_sql(dataset)
    if script is None:
        return False
    digest = hashlib.sha256(script.encode()).hexdigest()
    if await connection.fetchval(_APPLIED, dataset, digest, schema):
        return False
    async with connection.transaction():
        key = lock_key(schema, "curated")
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", key):
            return False
        # Another loader may have finished between the first look and the lock.
        if await connection.fetchval(_APPLIED, dataset, digest, schema):
            return False
        await connection.execute("SET LOCAL lock_timeout = '5s'")
        await connection.execute(script)
        await connection.execute(_RECORD, dataset, digest, schema)
    return True

"""Asking PostgreSQL what a load would do: the ledger, and a load that is rolled back."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from uuid import UUID

from contracts import LoadTable
from ops.dlq.order import AppliedLoad
from ops.dlq.plan import RowDifference
from services.loader.exactly_once import load_parquet
from services.loader.ledger import Provenance, prepare
from services.loader.load import Downloads
from services.loader.postgres import Database
from services.loader.table_lock import Limits

# A plan must not wait long for a loader at work, nor make one wait.
TRIAL_LIMITS = Limits(lock_seconds=5, statement_seconds=120)


class PostgresLedger:
    """Reads `quarry.load`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def is_in(self, load_id: UUID) -> bool:
        """Say whether a load has been done."""
        async with self._database.connection() as connection:
            await prepare(connection)
            found = await connection.fetchval(
                "SELECT EXISTS (SELECT FROM quarry.load WHERE load_id = $1)", load_id
            )
        return bool(found)

    async def applied(self, schema: str, table: str) -> Sequence[AppliedLoad]:
        """Return the loads of a table that are in place."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT load_id, run_id, period, as_of FROM quarry.load WHERE table_schema = $1"
                " AND table_name = $2 AND outcome IN ('loaded', 'unchanged')",
                schema,
                table,
            )
        return [AppliedLoad(**row) for row in rows]


class LedgerOfAll:
    """The ledgers of a server's databases as one: a load's id is in at most one of them."""

    def __init__(self, every_database: Callable[[], Awaitable[Sequence[Database]]]) -> None:
        self._every_database = every_database

    async def is_in(self, load_id: UUID) -> bool:
        """Say whether a load has been done."""
        for database in await self._every_database():
            if await PostgresLedger(database).is_in(load_id):
                return True
        return False

    async def applied(self, schema: str, table: str) -> Sequence[AppliedLoad]:
        """Return the loads of a table that are in place."""
        return [
            load
            for database in await self._every_database()
            for load in await PostgresLedger(database).applied(schema, table)
        ]


async def try_load(load: LoadTable, *, lake: Downloads, database: Database) -> RowDifference:
    """Run the very load of the loader in a transaction that is rolled back.

    While it runs it has the table's lock, as the load itself would.
    """
    provenance = Provenance(message_id=load.load_id, run_id="plan", worker="quarry dlq plan")
    with tempfile.TemporaryDirectory(prefix="quarry-plan-") as folder:
        path = Path(folder) / "rows.parquet"
        await lake.download(load.object.key, path)
        async with database.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                loaded = await load_parquet(
                    connection, path, load, provenance, TRIAL_LIMITS, fetch=lake.download
                )
            finally:
                await asyncio.shield(transaction.rollback())
    return RowDifference(
        outcome=loaded.outcome,
        rows=loaded.rows,
        inserted=loaded.inserted,
        updated=loaded.updated,
        deleted=loaded.removed,
    )

"""One load of a table at a time: an advisory lock that ends with its transaction."""

from dataclasses import dataclass
from datetime import datetime

from services.loader.postgres import Connection
from services.loader.sql import lock_key
from shared.log import log

# A statement waiting for its client inside COPY does not notice statement_timeout (PostgreSQL
# holds cancellation there), so a worker that fell asleep would keep the table for ever.
_END_SLEEPERS = """
SELECT pg_terminate_backend(a.pid) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid::bigint = $1 AND l.objid::bigint = $2 AND a.wait_event = 'ClientRead'
  AND a.query_start < clock_timestamp() - make_interval(secs => $3)
"""

# CASE, because nothing else promises that the time is that of a lock already taken.
_TAKE_TURN = """
SELECT set_config('lock_timeout', $2, true), set_config('statement_timeout', $3, true),
       set_config('idle_in_transaction_session_timeout', $4, true),
       CASE WHEN pg_try_advisory_xact_lock($1) THEN clock_timestamp() END AS moment
"""


@dataclass(frozen=True)
class Limits:
    """What one load may take of the database; the times are seconds.

    A load whose worker is silent for `statement_seconds` inside COPY, or for `idle_seconds`
    between statements, loses its session and with it the right to commit.
    """

    lock_seconds: float = 30
    statement_seconds: float = 900
    idle_seconds: float = 60
    may_migrate: bool = True


async def take_turn(connection: Connection, schema: str, table: str, limits: Limits) -> datetime:
    """Wait for the table's lock and set the limits; call it first in the transaction.

    Returns the server's time at which the lock was taken.

    Raises:
        asyncpg.LockNotAvailableError: others held it for longer than `lock_seconds`.
    """
    key = lock_key(schema, table)
    seconds = (limits.lock_seconds, limits.statement_seconds, limits.idle_seconds)
    moment: datetime | None = await connection.fetchval(
        _TAKE_TURN, key, *(f"{value:.3f}s" for value in seconds), column=3
    )
    if moment is not None:
        return moment
    halves = divmod(key & (2**64 - 1), 2**32)
    asleep = await connection.fetch(_END_SLEEPERS, *halves, limits.statement_seconds)
    if asleep:
        log.warning("sleeping_load_ended", table=f"{schema}.{table}", sessions=len(asleep))
    await connection.execute("SELECT pg_advisory_xact_lock($1)", key)
    taken: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return taken

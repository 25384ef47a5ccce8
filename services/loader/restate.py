"""`replace_period`: a period becomes what its newest version says, and the old one is kept."""

from dataclasses import replace
from functools import partial

from services.loader.arrival import (
    STAGED,
    Arrival,
    Target,
    insert_new,
    rows_touched,
    update_changed,
)
from services.loader.history import Restating, as_of_function, keep
from services.loader.ledger import Loaded
from services.loader.parquet import LINEAGE
from services.loader.postgres import Connection
from services.loader.sql import quoted

_PERIOD = quoted("period_end")
_SCOPE = f"t.{_PERIOD} = current_setting('quarry.period_end')::date"


async def within_period(connection: Connection, target: Target, arrival: Arrival) -> Target:
    """Narrow the comparison to the period.

    It is a setting of the transaction, because statements name it inside their text.
    """
    period_end = str(arrival.declaration.period_end)
    await connection.execute("SELECT set_config('quarry.period_end', $1, true)", period_end)
    return replace(target, scope=_SCOPE)


async def has_period(connection: Connection, target: Target, arrival: Arrival) -> bool:
    """Say whether the table has rows of the period already."""
    statement = f"SELECT EXISTS (SELECT FROM {target.table.sql} WHERE {_PERIOD} = $1)"  # noqa: S608  # quoted names
    return bool(await connection.fetchval(statement, arrival.declaration.period_end))


async def create_as_of(connection: Connection, target: Target) -> None:
    """Give the table its function `table_as_of(moment)`."""
    await connection.execute(as_of_function(target.table, target.key))


async def restate(connection: Connection, target: Target, arrival: Arrival) -> Loaded:
    """Make the period equal to the staged rows and keep what that changes.

    Rows whose data is the same keep the load that brought them, so history and table grow with
    what changed and not with what was loaded again.
    """
    declaration = arrival.declaration
    restating = Restating(declaration.load_id, str(declaration.period), arrival.moment)
    staged = f"SELECT FROM {STAGED} AS s WHERE {target.same_key}"  # quoted names
    absent = f"{target.scope} AND NOT EXISTS ({staged})"
    joined = f"{target.table.sql} AS t JOIN {STAGED} AS s ON {target.same_key}"
    kept = partial(keep, connection, restating, table=target.table, key=target.key)
    await kept(kind="removed", rows=f"{target.table.sql} AS t WHERE {absent}")
    await kept(
        kind="changed",
        rows=f"{joined} WHERE {target.differs}",
        columns=target.values,
        lineage=[name for name in target.types if name in LINEAGE],
    )
    await kept(kind="added", rows=f"{STAGED} AS s WHERE {target.is_new}")
    removed = await connection.execute(f"DELETE FROM {target.table.sql} AS t WHERE {absent}")  # noqa: S608  # quoted names
    updated = await update_changed(connection, target)
    inserted = await insert_new(connection, target)
    return Loaded(
        "loaded",
        arrival.rows.rows,
        inserted=inserted,
        updated=updated,
        removed=rows_touched(removed),
    )

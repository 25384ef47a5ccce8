"""`replace`: a new copy of the table is filled aside and takes the place of the old one.

The table is a parent with one partition. Readers of the parent see the old partition until the
commit that exchanges it; grants, comments, indexes and dependent views belong to the parent and
stay.
"""

from dataclasses import replace

from services.loader.arrival import Arrival, Target
from services.loader.binary_copy import Into, copy_rows
from services.loader.ledger import Loaded
from services.loader.migrate import Change, Table, carry_out, statement
from services.loader.postgres import Connection
from services.loader.sql import short_name

# As text, such a name is quoted. The ledger knows how many rows a former `replace` left.
_FORMER = """
SELECT inhrelid::regclass::text AS name, (
    SELECT CASE mode WHEN 'replace' THEN rows END FROM quarry.load
    WHERE table_schema = $2 AND table_name = $3 AND outcome = 'loaded'
    ORDER BY loaded_at DESC LIMIT 1) AS rows
FROM pg_inherits WHERE inhparent = $1::text::regclass
"""


async def fill_anew(
    connection: Connection, target: Target, arrival: Arrival, change: Change
) -> Loaded:
    """Fill a new partition and exchange it for the old one; `change` makes the parent fit.

    The lock that readers feel is taken after the last row has arrived. The new rows are frozen, so
    that even a reader with an older snapshot sees them and never an empty table.
    """
    table = target.table
    if not table.exists:
        await connection.execute(statement(table, change, target.key, swappable=True))
    name = short_name(f"{table.name}_{arrival.declaration.load_id.hex}")
    new = replace(table, name=name, exists=True)
    await connection.execute(
        f"CREATE TABLE {new.sql} (LIKE {table.sql} INCLUDING ALL EXCLUDING COMMENTS)"
    )
    if change.actions:
        await connection.execute(statement(new, change, target.key))
    # Asked now, while the file is still being read.
    former = await connection.fetch(_FORMER, table.sql, table.schema, table.name)
    removed = await _rows_of(connection, table, former[0]["rows"]) if former else 0
    into = Into(target.types, name, table.schema, frozen=True)
    copied = await copy_rows(connection, arrival.rows, into, arrival.declaration.load_id)
    swap = [f"DROP TABLE {row['name']}" for row in former]
    if change.actions:
        swap.append(statement(table, change, target.key))
    swap.append(f"ALTER TABLE {table.sql} ATTACH PARTITION {new.sql} DEFAULT")
    # Readers wait from here to the commit, so it is one round trip.
    await carry_out(connection, table, "; ".join(swap))
    return Loaded("loaded", copied, inserted=copied, removed=removed)


async def _rows_of(connection: Connection, table: Table, recorded: int | None) -> int:
    """Return how many rows go; what another mode than `replace` left is counted."""
    if recorded is not None:
        return recorded
    return int(await connection.fetchval(f"SELECT count(*) FROM {table.sql}"))  # noqa: S608  # quoted names

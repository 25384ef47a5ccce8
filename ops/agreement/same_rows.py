"""Two tables in the database, compared row by row."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.loader.postgres import Connection, postgres_errors
from services.loader.sql import qualified, quoted

# Which load brought a row, and when, is another matter than what the row says. Where rows that did
# not change stay as they are, so is the file they first came in.
_OF_THE_LOAD = frozenset({"load_id", "load_update_ts"})
_OF_THE_FILE = frozenset({"filename", "row_number"})


@dataclass(frozen=True)
class Compared:
    """Rows of the loads that the table does not have, and rows it has beside them."""

    missing: int
    surplus: int


async def compare_rows(
    connection: Connection,
    loads: tuple[str, str],
    table: tuple[str, str],
    *,
    load_ids: Sequence[UUID] | None = None,
) -> Compared:
    """Compare what loads make with a table; with `load_ids`, with their rows in it alone.

    The table may have columns that its loads do not have; they must be empty there. Repeated
    rows count.
    """
    made, there = await _types(connection, loads), await _types(connection, table)
    left_out = _OF_THE_LOAD if load_ids is not None else _OF_THE_LOAD | _OF_THE_FILE
    names = [name for name in there if name not in left_out]
    ours = ", ".join(_cast(name, made.get(name), there[name]) for name in names)
    theirs = ", ".join(quoted(name) for name in names)
    where = "" if load_ids is None else ' WHERE "load_id" = ANY($1::uuid[])'
    of_loads = f"SELECT {ours} FROM {qualified(*loads)}"  # noqa: S608  # quoted names
    of_table = f"SELECT {theirs} FROM {qualified(*table)}{where}"  # noqa: S608  # quoted names
    with postgres_errors():
        row = await connection.fetchrow(
            f"SELECT (SELECT count(*) FROM ({of_loads} EXCEPT ALL {of_table}) AS m),"  # noqa: S608  # quoted names
            f" (SELECT count(*) FROM ({of_table} EXCEPT ALL {of_loads}) AS s)",
            *([list(load_ids)] if load_ids is not None else []),
        )
    missing, surplus = row or (0, 0)
    return Compared(missing, surplus)


def _cast(name: str, made: str | None, there: str) -> str:
    """Return a column of the loads as the table has it: columns only widen."""
    if made is None:
        return f"NULL::{there}"
    # PostgreSQL has no direct way from true and false to a fraction.
    through = "::integer" if made == "boolean" and there == "double precision" else ""
    return f"{quoted(name)}{through}::{there}"


async def _types(connection: Connection, table: tuple[str, str]) -> dict[str, str]:
    rows = await connection.fetch(
        "SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute"
        " WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        qualified(*table),
    )
    return {row["attname"]: row["type"] for row in rows}

"""The load modes: what becomes of the rows that are there and those that arrive."""

import asyncio

from contracts import LoadTable
from services.loader.arrival import Arrival, Target, copy_into, stage
from services.loader.ledger import Loaded
from services.loader.merge import merge
from services.loader.migrate import (
    Table,
    carry_out,
    describe,
    planned,
    require_permission,
    statement,
)
from services.loader.postgres import Connection
from services.loader.restate import create_as_of, has_period, restate, within_period
from services.loader.swap import fill_anew


async def bring_in(
    connection: Connection, table: Table, key: tuple[str, ...], arrival: Arrival, *, allowed: bool
) -> Loaded:
    """Make the table fit and bring the rows in; the caller holds lock and transaction.

    `allowed` says whether this role may create and alter tables.
    """
    mode = arrival.declaration.mode
    change = await planned(connection, table, arrival.rows.columns, key)
    todo = statement(table, change, key, swappable=mode == "replace")
    require_permission(table, todo, allowed=allowed)
    target = Target(table, change.types, key)
    # Making a partition takes the rights of a migration; without them rows are exchanged in place.
    if mode == "replace" and allowed and (table.partitioned or not table.exists):
        loaded = await fill_anew(connection, target, arrival, change)
    else:
        if todo:
            await carry_out(connection, table, todo)
            if mode == "replace_period":
                await create_as_of(connection, target)
        loaded = await _fill(connection, target, arrival)
    if allowed:
        await describe(connection, table, arrival.rows.columns)
    return loaded


async def _fill(connection: Connection, target: Target, arrival: Arrival) -> Loaded:
    match arrival.declaration.mode:
        case "append":
            return await _append(connection, target, arrival)
        case "replace":
            return await _empty_and_append(connection, target, arrival)
        case "replace_period":
            return await _replace_period(connection, target, arrival)
        case "merge":
            return await merge(connection, target, arrival)


async def _append(connection: Connection, target: Target, arrival: Arrival) -> Loaded:
    copied = await copy_into(connection, target, arrival)
    return Loaded("loaded", copied, inserted=copied)


async def _empty_and_append(connection: Connection, target: Target, arrival: Arrival) -> Loaded:
    """Replace the rows of a table that was not made for swapping; takes no lock from readers."""
    answer = await connection.execute(f"DELETE FROM {target.table.sql}")  # noqa: S608  # quoted name
    copied = await copy_into(connection, target, arrival)
    return Loaded("loaded", copied, inserted=copied, removed=int(answer.rsplit(" ", 1)[-1]))


async def _replace_period(connection: Connection, target: Target, arrival: Arrival) -> Loaded:
    await asyncio.to_thread(arrival.rows.require_period, arrival.declaration.period_end)
    if not target.table.exists or not await has_period(connection, target, arrival):
        return await _append(connection, target, arrival)
    narrowed = await within_period(connection, target, arrival)
    await stage(connection, narrowed, arrival)
    return await restate(connection, narrowed, arrival)


def primary_key(declaration: LoadTable) -> tuple[str, ...]:
    """Return the key of the table, the period first: a quarter lies together and is found at once.

    Appended rows have none.
    """
    if declaration.mode == "append":
        return ()
    rest = tuple(name for name in declaration.key if name != "period_end")
    return ("period_end", *rest) if len(rest) < len(declaration.key) else rest

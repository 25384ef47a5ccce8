"""`quarry restatements`: what a quarter that was published again changed."""

import asyncio
import json as json_module
from dataclasses import asdict
from typing import Annotated

import typer

from contracts import Period
from contracts.datasets import UnknownDataset, dataset_named
from infra.names import Environment
from ops.access import open_access
from ops.commands.options import Env, Json
from ops.commands.sql import Answer, print_answer
from ops.errors import CommandFailed
from ops.restatements import Restatements, read_restatements
from ops.screen import out


def restatements(
    *,
    period: Annotated[str | None, typer.Option(help="Only this quarter, such as 2013Q1.")] = None,
    bank: Annotated[str | None, typer.Option(help="Only this bank, by its IDRSSD.")] = None,
    values: Annotated[bool, typer.Option("--values", help="List old and new values.")] = False,
    dataset: Annotated[str, typer.Option(help="A dataset that is restated.")] = "call_reports",
    json: Json = False,
    env: Env = "local",
) -> None:
    """Show what quarters published again changed, in total and per bank."""
    try:
        name = dataset_named(dataset).name
        quarter = str(Period.parse(period)) if period else None
    except (ValueError, UnknownDataset) as error:
        raise CommandFailed(str(error)) from error

    async def read(env: Environment) -> Restatements:
        async with open_access(env) as access:
            database = await access.database_of(name)
            async with database.connection() as connection:
                return await read_restatements(
                    connection, dataset=name, period=quarter, bank=bank, with_values=values
                )

    found = asyncio.run(read(env))
    if json:
        out.print_json(json_module.dumps(asdict(found), default=str))
    else:
        _print(found)


def _print(found: Restatements) -> None:
    total = found.total
    out.print(
        f"{total.values:,} values changed, {total.added:,} rows added, {total.removed:,} removed, "
        f"of {len(found.banks):,} banks in {len(total.tables)} tables and "
        f"{len(total.periods)} quarters",
        highlight=False,
    )
    if found.banks:
        columns = ("bank", "values", "added", "removed", "tables")
        rows = [(b.bank, b.values, b.added, b.removed, list(b.tables)) for b in found.banks]
        print_answer(Answer(columns, rows, ""))
    if found.values:
        names = ("bank", "period", "table", "kind", "column", "old", "new", "replaced_at")
        lines = [tuple(getattr(one, name) for name in names) for one in found.values]
        print_answer(Answer(names, lines, ""))

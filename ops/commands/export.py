"""`quarry export`: what is in the database, as files for other tools."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from contracts import Period
from contracts.datasets import UnknownDataset, dataset_named
from infra.names import Environment
from ops.access import open_access
from ops.commands.options import Env
from ops.errors import CommandFailed
from ops.long_export import export_long
from ops.screen import say

app = typer.Typer(no_args_is_help=True, help="Write what is in the database to files.")


@app.callback()
def _export() -> None:
    """Write what is in the database to files."""


@app.command("long")
def long(
    *,
    to: Annotated[Path, typer.Option(help="The Parquet file to write.")],
    period: Annotated[
        list[str] | None, typer.Option(help="A quarter such as 2013Q1, may be repeated; or all.")
    ] = None,
    dataset: Annotated[str, typer.Option(help="A dataset with a long form.")] = "call_reports",
    env: Env = "local",
) -> None:
    """Write one row per bank, quarter and code, nulls left out, however many there are."""
    try:
        periods = [Period.parse(text) for text in period or ()]
        declared = dataset_named(dataset)
    except (ValueError, UnknownDataset) as error:
        raise CommandFailed(str(error)) from error

    async def write(env: Environment) -> int:
        async with open_access(env) as access:
            database = await access.database_of(declared.name)
            return await export_long(database, declared, periods, to)

    rows = asyncio.run(write(env))
    say(f"{to}: {rows:,} rows, {to.stat().st_size:,} bytes")

"""`quarry reconcile`: whether members, manifest, Parquet, ledger and tables agree."""

import asyncio
import json as json_module
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from infra.names import Environment
from ops.access import open_access
from ops.commands.options import Env, Json
from ops.errors import CommandFailed
from ops.reconcile import Reconciled, together
from ops.reconcile import reconcile as compare
from ops.screen import err, out


def reconcile(
    *,
    dataset: Annotated[str | None, typer.Option(help="Only this dataset.")] = None,
    period: Annotated[str | None, typer.Option(help="Only this quarter, such as 2013Q1.")] = None,
    json: Json = False,
    env: Env = "local",
) -> None:
    """Compare counts and checksums along the whole path; exit code 1 on any difference."""
    found = asyncio.run(_compare(env, dataset, period))
    if json:
        out.print_json(json_module.dumps(asdict(found)))
    else:
        for one in found.differences:
            err.print(f"{one.where}: {escape(one.what)}", highlight=False, soft_wrap=True)
        out.print(
            f"{found.folders} folders, {found.files} files, {found.loads} loads, "
            f"{found.rows:,} rows: {len(found.differences)} differences",
            highlight=False,
        )
    if found.differences:
        raise CommandFailed(f"{len(found.differences)} differences")


async def _compare(env: Environment, dataset: str | None, period: str | None) -> Reconciled:
    async with open_access(env) as access:
        found = [
            await compare(database, access.lake, dataset=dataset, period=period)
            for database in await access.every_database()
        ]
    return together(found)

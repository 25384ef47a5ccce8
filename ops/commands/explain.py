"""`quarry explain`: where one row came from, and what it was before."""

import asyncio
import json as json_module
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from infra.names import Environment
from ops.access import open_access
from ops.commands.options import Env, Json
from ops.lineage import Lineage, facts_of, version_text
from ops.lineage import explain as follow
from ops.screen import out


def explain(
    table: Annotated[str, typer.Argument(help="Such as call_reports.rc")],
    key: Annotated[list[str], typer.Argument(help="Such as 37 2013Q1, or idrssd=37 …")],
    *,
    json: Json = False,
    env: Env = "local",
) -> None:
    """Follow a row back: load, message, Parquet, manifest, file, digest, source, run, versions."""
    found = asyncio.run(_explain(env, table, key))
    if json:
        document = asdict(found) | {
            "manifest": found.manifest.model_dump(mode="json") if found.manifest else None,
            "file": found.file.model_dump(mode="json") if found.file else None,
        }
        out.print_json(json_module.dumps(document, default=str))
    else:
        _print(found)


async def _explain(env: Environment, table: str, key: list[str]) -> Lineage:
    async with open_access(env) as access:
        database = await access.database_holding(table)
        return await follow(database, access.lake, table, key)


def _print(found: Lineage) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, fact in facts_of(found):
        table.add_row(name, escape(fact))
    for version in found.versions:
        said = f"until {version.replaced_at:%Y-%m-%d %H:%M:%S} UTC, by load {version.replaced_by}: "
        table.add_row("before", escape(said + version_text(version)))
    out.print(table, highlight=False)

"""`quarry explain`: where one row came from, and what it was before."""

import asyncio
import json as json_module
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from infra.names import Environment
from ops.access import open_access
from ops.commands.options import Env, Json
from ops.lineage import Lineage, Version
from ops.lineage import explain as follow
from ops.screen import out

_SHOWN_CELLS = 12


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
        return await follow(access.need_database(), access.lake, table, key)


def facts_of(found: Lineage) -> list[tuple[str, str]]:
    """Return the steps from the row back to its source, as name and sentence."""
    load, manifest, file = found.load, found.manifest, found.file
    facts = [
        ("row", ", ".join(f"{name} = {value}" for name, value in found.key.items())),
        ("load", f"{load.load_id}, {load.outcome} {load.loaded_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("worker", load.worker),
        ("message", str(load.message_id)),
        ("run", load.run_id),
        ("Parquet", f"s3://{load.object_bucket}/{load.object_key}"),
        ("its digest", f"sha256 {load.object_sha256}"),
        ("manifest", load.manifest_key + ("" if manifest else " (no longer in the lake)")),
    ]
    if found.row.get("filename"):
        line = f", record {found.row['row_number']}" if found.row.get("row_number") else ""
        facts.append(("file", f"{found.row['filename']}{line}"))
    if file is not None:
        facts.append(("its digest", f"sha256 {file.sha256}, {file.bytes:,} bytes"))
    if manifest is not None:
        facts.append(("source", manifest.source_url))
        facts.append(("collected", f"{manifest.collected_at:%Y-%m-%d %H:%M:%S} UTC"))
        if manifest.archive_name:
            facts.append(("archive", f"{manifest.archive_name}, sha256 {manifest.archive_sha256}"))
    return facts


def version_text(version: Version) -> str:
    """Say what a version changed, a few cells at most."""
    if version.kind != "changed":
        return version.kind
    new = version.new or {}
    cells = [(name, (version.old or {}).get(name), value) for name, value in new.items()]
    cells = [cell for cell in cells if cell[0] not in {"filename", "row_number", "load_id"}]
    shown = [f"{name}: {_cell(old)} → {_cell(value)}" for name, old, value in cells]
    more = f" and {len(shown) - _SHOWN_CELLS} more" if len(shown) > _SHOWN_CELLS else ""
    return "; ".join(shown[:_SHOWN_CELLS]) + more


def _cell(value: Any) -> str:
    return "empty" if value is None else str(value)


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

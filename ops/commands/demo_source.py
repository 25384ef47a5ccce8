"""`quarry demo-source`: something to pull besides call reports, on the local stack."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ops.commands.drop import tell
from ops.drop import drop
from ops.screen import out
from ops.sources import hires as hires_source
from ops.sources import invoices as invoices_source
from ops.sources import totesys as totesys_source
from ops.target import find_database, find_target

app = typer.Typer(no_args_is_help=True, help="Bring up a demo source on the local stack.")


@app.callback()
def demo_source() -> None:
    """Bring up a demo source on the local stack."""


@app.command()
def totesys(
    change: Annotated[
        int,
        typer.Option(min=0, help="Change so many sales orders, so that there is something new."),
    ] = 0,
) -> None:
    """Create and fill the 11 tables of ToteSys in a second database of the stack's server."""
    url = find_database("local")
    filled = asyncio.run(totesys_source.fill(url))
    origin = "the published rows" if filled.published else "made-up rows"
    done = f"created from {origin}" if filled.created else "was there"
    out.print(f"totesys {done}: {sum(filled.rows.values()):,} rows in {len(filled.rows)} tables")
    if change:
        changed = asyncio.run(totesys_source.change(url, change))
        out.print(f"changed {changed} sales orders")
    out.print("pull it with: quarry send --dataset totesys --wait", highlight=False)


@app.command()
def hires(
    variant: Annotated[
        hires_source.Variant,
        typer.Option(help="Commas, commas after a byte-order mark, or semicolons and CR LF."),
    ] = "comma",
) -> None:
    """Drop hired employees, departments and jobs in the inbox, in one of three spellings."""
    target = find_target("local")
    published = hires_source.are_published()
    with tempfile.TemporaryDirectory(prefix="quarry-hires-") as folder:
        files = (
            hires_source.published_files(variant)
            if published
            else hires_source.make_up(Path(folder), variant)
        )
        dropped = asyncio.run(drop(target, files))
    out.print(f"hires: {'the published' if published else 'made-up'} files, variant {variant}")
    tell(dropped)


@app.command()
def invoices(
    documents: Annotated[
        int, typer.Option(min=0, help="How many documents; the other tables follow.")
    ] = 400,
    change: Annotated[int, typer.Option(min=0, help="Change so many of them.")] = 0,
) -> None:
    """Create and fill the four invoice tables in the stack's DynamoDB."""
    target = find_target("local")
    filled = asyncio.run(invoices_source.fill(target, documents))
    done = "created from made-up items" if filled.created else "was there"
    if filled.created and filled.published:
        done += f" and {filled.published} published ones"
    out.print(
        f"invoices {done}: {sum(filled.items.values()):,} items in {len(filled.items)} tables"
    )
    if change:
        changed = asyncio.run(invoices_source.change(target, change))
        out.print(f"changed {changed} documents")
    out.print("pull it with: quarry send --dataset invoices --wait", highlight=False)

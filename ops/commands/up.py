"""`quarry up`, `quarry down`, `quarry env`."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from infra.names import Names
from ops.commands.options import Env
from ops.errors import CommandFailed
from ops.screen import out, say
from ops.stack.down import take_down
from ops.stack.home import find_home
from ops.stack.up import Options, Up, bring_up
from ops.target import find_target

_EXAMPLE = (
    '{"dataset": "call_reports", "start_year": 2013, "start_quarter": 1, '
    '"end_year": 2013, "end_quarter": 1}'
)


def up(
    zips: Annotated[
        Path | None,
        typer.Option(help="Serve the real zips of this folder instead of generated quarters."),
    ] = None,
    generated: Annotated[
        bool, typer.Option("--generated", help="Serve generated quarters again, after --zips.")
    ] = False,
    banks: Annotated[
        int | None,
        typer.Option(min=1, help="Banks in a generated quarter; default: as many as real."),
    ] = None,
) -> None:
    """Start the stack on 127.0.0.1, or repair what does not run.

    With DATABASE_URL set, rows go to that PostgreSQL instead of the stack's own.
    """
    home = find_home()
    if zips and (generated or banks):
        raise CommandFailed("--zips serves real quarters; leave out --generated and --banks")
    options = Options(zips, generated, banks, os.environ.get("DATABASE_URL"))
    result = bring_up(home, options, say)
    if not result.changed:
        out.print("[bold]quarry is already running[/bold]")
    else:
        started = ", ".join(result.changed)
        out.print(f"[bold green]quarry is up[/bold green] (started: {started})", soft_wrap=True)
    _print_addresses(result)


def down() -> None:
    """End every process of the stack; queues, files and tables are kept."""
    stopped = take_down(find_home(), say)
    out.print(
        "stopped; queues, files and tables are kept for the next quarry up"
        if stopped
        else "not running"
    )


def env(env: Env = "local") -> None:
    """Print exports for other programs: eval "$(quarry env)"."""
    for name, value in find_target(env).variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def _print_addresses(result: Up) -> None:
    names = Names("local")
    queue = f"{result.endpoint_url}/{names.account}/{names.queue('generator')}"
    lines = [
        f"  AWS emulator  {result.endpoint_url}",
        f"  database      {_without_password(result.database_url)}",
        f"  served        {result.state.zips or 'generated quarters, not real banks'}",
        "",
        "Send a message with  quarry send --from 2013Q1 --wait  or by hand:",
        '  eval "$(quarry env)"',
        f"  aws --endpoint-url {result.endpoint_url} sqs send-message \\",
        f"    --queue-url {queue} \\",
        f"    --message-body '{_EXAMPLE}'",
    ]
    out.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _without_password(url: str) -> str:
    before, at, after = url.rpartition("@")
    return f"{before.rsplit(':', 1)[0]}@{after}" if at else url

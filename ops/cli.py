"""The `quarry` command: every command is listed here, its code is in `ops/commands/`."""

import os
import sys
from importlib import import_module

import typer
from rich.markup import escape

from ops.errors import CommandFailed
from ops.screen import err
from ops.stack.postgres import PostgresDidNotStart
from shared.errors import QuarryError
from shared.local_mode import read_env_file

# Command -> module and function (or Typer app, for a family). Only what is called is imported,
# because some commands need libraries that take a second to load.
COMMANDS = {
    "up": "ops.commands.up:up",
    "down": "ops.commands.up:down",
    "status": "ops.commands.status:status",
    "send": "ops.commands.send:send",
    "drop": "ops.commands.drop:drop",
    "sql": "ops.commands.sql:sql",
    "tables": "ops.commands.sql:tables",
    "env": "ops.commands.up:env",
    "dlq": "ops.commands.dlq:app",
    "runs": "ops.commands.runs:runs",
    "explain": "ops.commands.explain:explain",
    "reconcile": "ops.commands.reconcile:reconcile",
    "restatements": "ops.commands.restatements:restatements",
    "export": "ops.commands.export:app",
    "console": "ops.commands.console:console",
    "demo-source": "ops.commands.demo_source:app",
    "doctor": "ops.commands.doctor:doctor",
}


def build_app(wanted: str | None = None) -> typer.Typer:
    """Return the command line with the command `wanted`, or with all where there is none such."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Pull data that arrives in lumps through queues into PostgreSQL.",
    )
    app.callback()(_quarry)
    for name in [wanted] if wanted in COMMANDS else COMMANDS:
        module, _, attribute = COMMANDS[name].partition(":")
        found = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def main() -> None:
    """Run the command line; failures with a meaning are one sentence, not a traceback."""
    # Addresses of the local stack must not go through a proxy, whatever the shell says.
    own = os.environ.get("NO_PROXY", "")
    os.environ["NO_PROXY"] = ",".join(filter(None, [own, "127.0.0.1,localhost"]))
    try:
        read_env_file()
        build_app(next(iter(sys.argv[1:]), None))(prog_name="quarry")
    except (CommandFailed, QuarryError, PostgresDidNotStart) as error:
        err.print(f"[red]quarry:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)


def _quarry() -> None:
    """Pull data that arrives in lumps through queues into PostgreSQL."""


if __name__ == "__main__":
    main()

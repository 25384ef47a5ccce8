"""The `quarry` command: every command is registered here, its code is in `ops/commands/`."""

import os
import sys

import typer
from rich.markup import escape

from ops.commands import dlq, doctor, send, sql, status, up
from ops.errors import CommandFailed
from ops.screen import err
from ops.stack.postgres import PostgresDidNotStart
from shared.errors import QuarryError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Pull data that arrives in lumps through queues into PostgreSQL.",
)
app.command()(up.up)
app.command()(up.down)
app.command()(status.status)
app.command()(send.send)
app.command()(sql.sql)
app.command()(sql.tables)
app.command()(up.env)
app.command()(doctor.doctor)
app.add_typer(dlq.app, name="dlq")


def main() -> None:
    """Run the command line; failures with a meaning are one sentence, not a traceback."""
    # Addresses of the local stack must not go through a proxy, whatever the shell says.
    own = os.environ.get("NO_PROXY", "")
    os.environ["NO_PROXY"] = ",".join(filter(None, [own, "127.0.0.1,localhost"]))
    try:
        app(prog_name="quarry")
    except (CommandFailed, QuarryError, PostgresDidNotStart) as error:
        err.print(f"[red]quarry:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

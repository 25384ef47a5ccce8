"""`quarry console`: the page that shows the path, the runs and the dead letters."""

import secrets
import socket
from typing import Annotated

import typer
import uvicorn

from ops.commands.options import Env
from ops.console.app import build_console
from ops.screen import out
from ops.stack.home import find_home

_TOKEN_BYTES = 24


def console(
    *,
    port: Annotated[int, typer.Option(help="Port of 127.0.0.1; 0 takes a free one.")] = 0,
    write: Annotated[
        bool, typer.Option("--write", help="Allow edit, replay and purge from the page.")
    ] = False,
    every: Annotated[
        float, typer.Option(help="Seconds between readings while a page is open.", min=0.2)
    ] = 1.0,
    env: Env = "local",
) -> None:
    """Serve the console on 127.0.0.1 until interrupted; the printed address carries its token."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    app = build_console(env, find_home().path, token=token, write=write, every_seconds=every)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        chosen = listener.getsockname()[1]
        out.print(f"http://127.0.0.1:{chosen}/?token={token}", highlight=False, soft_wrap=True)
        out.print("changes allowed" if write else "read-only; --write allows changes")
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)
        uvicorn.Server(config).run(sockets=[listener])

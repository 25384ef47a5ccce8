"""`quarry status`: parts, queues, database and the last errors."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
from rich.table import Table

from infra.names import Environment, Service
from ops.commands.options import Env, Json
from ops.errors import CommandFailed
from ops.queue_depths import Depth, read_depths
from ops.screen import out
from ops.stack.health import PartStatus, inspect_parts
from ops.stack.home import find_home
from ops.target import Target, find_database, find_target
from shared.errors import QuarryError

_MEGABYTE = 1_000_000
_COLOURS = {"running": "green", "dead": "red", "stopped": "dim"}


@dataclass(frozen=True)
class _Look:
    """What was found; a sentence in place of what could not be reached."""

    parts: Sequence[PartStatus]
    queues: Mapping[Service, Depth] | str
    database: str | None


def status(json: Json = False, env: Env = "local") -> None:
    """Show each part, the queues with their dead-letter queues, and the last errors."""
    look = asyncio.run(_look(env))
    if json:
        out.print_json(data=_document(look), default=str)
    else:
        _print(look)


async def _look(env: Environment) -> _Look:
    home = find_home()
    parts = inspect_parts(home, home.read()) if env == "local" else []
    return _Look(parts, await _queues(env), await _database(env))


async def _queues(env: Environment) -> Mapping[Service, Depth] | str:
    try:
        target: Target = find_target(env)
        async with target.clients() as clients:
            return await read_depths(clients.sqs, target)
    except (CommandFailed, QuarryError) as error:
        return str(error)


async def _database(env: Environment) -> str | None:
    """Return None when the database answers, else why it does not."""
    try:
        connection = await asyncpg.connect(find_database(env), timeout=5)
    except CommandFailed as error:
        return str(error)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        return f"{type(error).__name__}: {error}"
    await connection.close()
    return None


def _print(look: _Look) -> None:
    if look.parts:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in ("part", "state", "pid", "port", "since", "memory", "its children"):
            table.add_column(title, justify="right" if title in {"pid", "port"} else "left")
        for part in look.parts:
            table.add_row(
                part.part,
                f"[{_COLOURS[part.state]}]{part.state}[/]",
                str(part.pid or ""),
                str(part.port or ""),
                f"{part.since:%Y-%m-%d %H:%M:%S}" if part.since else "",
                _megabytes(part.rss_bytes),
                _megabytes(part.children_bytes),
            )
        out.print(table)
        if any(part.state == "dead" for part in look.parts):
            out.print("[red]bring dead parts back with: quarry up[/red]")
    _print_queues(look.queues)
    out.print(f"\ndatabase: {look.database or 'answers'}", markup=False, highlight=False)
    for part in look.parts:
        if part.last_error:
            out.print(
                f"last error of {part.part}: {part.last_error}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )


def _print_queues(queues: Mapping[Service, Depth] | str) -> None:
    out.print()
    if isinstance(queues, str):
        out.print(f"queues: {queues}", markup=False)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("queue", "waiting", "in flight", "parked"):
        table.add_column(title, justify="left" if title == "queue" else "right")
    for service, depth in queues.items():
        parked = f"[red]{depth.parked}[/]" if depth.parked else "0"
        table.add_row(service, str(depth.waiting), str(depth.in_flight), parked)
    out.print(table)


def _document(look: _Look) -> dict[str, Any]:
    parts = {
        part.part: {
            "state": part.state,
            "pid": part.pid,
            "port": part.port,
            "since": part.since.isoformat() if part.since else None,
            "rss_bytes": part.rss_bytes,
            "children_bytes": part.children_bytes,
            "last_error": part.last_error,
        }
        for part in look.parts
    }
    reached = not isinstance(look.queues, str)
    queues = (
        {}
        if isinstance(look.queues, str)
        else {
            service: {
                "waiting": depth.waiting,
                "in_flight": depth.in_flight,
                "parked": depth.parked,
            }
            for service, depth in look.queues.items()
        }
    )
    return {
        "parts": parts,
        "queues_reachable": reached,
        "queues": queues,
        "database_reachable": look.database is None,
    }


def _megabytes(size: int) -> str:
    return f"{size / _MEGABYTE:.0f} MB" if size else ""

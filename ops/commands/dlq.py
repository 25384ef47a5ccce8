"""`quarry dlq`: what is parked, why, and what a replay would do."""

import asyncio
import json as json_module
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.names import Environment
from ops.commands import dlq_deeds
from ops.commands.dlq_options import (
    select_parked,
    selecting,
    workbench,
)
from ops.commands.dlq_view import print_audit, print_message, print_messages, print_plan
from ops.commands.dlq_view import print_queues as show_queues
from ops.commands.options import Env, Json
from ops.dlq.filters import Filter
from ops.dlq.groups import grouped
from ops.dlq.message import ParkedMessage
from ops.dlq.plan import Plan
from ops.dlq.store import Look, record_of
from ops.errors import CommandFailed
from ops.screen import err, out

app = typer.Typer(help="Parked messages: look, edit, plan, replay, purge.", no_args_is_help=True)
app.command("edit")(dlq_deeds.edit)
app.command("replay")(dlq_deeds.replay)
app.command("resume")(dlq_deeds.resume)
app.command("purge")(dlq_deeds.purge)
app.command("redrive")(dlq_deeds.redrive)
app.command("rescue")(dlq_deeds.rescue)

MaxAge = Annotated[
    float,
    typer.Option("--max-age", help="Seconds for which an earlier look is good enough.", min=0),
]


@app.command("list")
def list_queues(*, max_age: MaxAge = 30, json: Json = False, env: Env = "local") -> None:
    """Show every dead-letter queue, and what failed in groups."""
    looks, messages = asyncio.run(_look(env, Filter(), max_age))
    if json:
        out.print_json(json_module.dumps(_listed(looks, messages)))
    else:
        show_queues(looks, messages)


@app.command("show")
@selecting
def show(
    *,
    wanted: Filter,
    max_age: MaxAge = 30,
    json: Json = False,
    env: Env = "local",
) -> None:
    """Read parked messages; they stay where they are. One message is shown whole."""
    _, messages = asyncio.run(_look(env, wanted, max_age))
    if json:
        out.print_json(json_module.dumps([_shown(message) for message in messages]))
    elif wanted.ids and len(messages) == 1:
        print_message(messages[0])
    else:
        print_messages(messages)


@app.command("plan")
@selecting
def plan(
    *,
    wanted: Filter,
    rows: Annotated[
        bool, typer.Option(help="Try loads in a transaction that is rolled back.")
    ] = True,
    to_file: Annotated[
        Path | None, typer.Option("--out", help="Write the plan, for `replay --plan`.")
    ] = None,
    json: Json = False,
    env: Env = "local",
) -> None:
    """Say what a replay would do; nothing is changed."""
    made = asyncio.run(_plan(env, wanted, rows=rows))
    if to_file is not None:
        to_file.write_text(made.model_dump_json(indent=2))
        err.print(f"plan {made.plan_id} is in {to_file}", highlight=False)
    if json:
        out.print_json(made.model_dump_json())
    else:
        print_plan(made)


@app.command("audit")
def audit(
    *,
    limit: Annotated[int, typer.Option(help="How many entries.", min=1, max=1000)] = 20,
    json: Json = False,
    env: Env = "local",
) -> None:
    """Show who changed what in the dead-letter queues, newest first."""

    async def read() -> Any:
        async with workbench(env) as bench:
            return await bench.audit.entries(limit=limit)

    entries = asyncio.run(read())
    if json:
        out.print_json(json_module.dumps([entry.model_dump(mode="json") for entry in entries]))
    else:
        print_audit(entries)


async def _look(
    env: Environment, wanted: Filter, max_age: float
) -> tuple[list[Look], list[ParkedMessage]]:
    async with workbench(env) as bench:
        looks = await bench.look(max_age=timedelta(seconds=max_age))
        return looks, await select_parked(bench, wanted)


async def _plan(env: Environment, wanted: Filter, *, rows: bool) -> Plan:
    async with workbench(env) as bench:
        await bench.look()
        messages = await select_parked(bench, wanted)
        if not messages:
            raise CommandFailed(f"no parked message fits: {wanted.describe()}")
        return await bench.plan(messages, selection=wanted.describe(), rows=rows)


def _listed(looks: list[Look], messages: list[ParkedMessage]) -> dict[str, Any]:
    oldest: dict[str, str] = {}
    for message in sorted(messages, key=lambda one: one.sent_at, reverse=True):
        oldest[message.queue] = message.sent_at.isoformat()
    return {
        "queues": [
            {
                "queue": look.queue,
                "depth": look.depth,
                "seen": look.seen,
                "in_flight": look.in_flight,
                "oldest": oldest.get(look.queue),
            }
            for look in looks
        ],
        "groups": [
            {
                "kind": group.kind,
                "count": len(group.messages),
                "service": group.example.service,
                "dataset": group.example.dataset,
                "error_type": group.example.error_type,
                "fingerprint": group.example.fingerprint,
                "shape": group.example.shape,
                "first": group.first.isoformat(),
                "last": group.last.isoformat(),
            }
            for group in grouped(messages)
        ],
    }


def _shown(message: ParkedMessage) -> dict[str, Any]:
    return {
        **record_of(message),
        "kind": message.kind,
        "error_type": message.error_type,
        "reason": message.reason,
        "dataset": message.dataset,
        "period": message.period,
    }

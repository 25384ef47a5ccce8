"""The `quarry dlq` commands that change something; each asks for a reason and is audited."""

import asyncio
import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from infra.names import Environment
from ops.commands.dlq_options import (
    Rate,
    Why,
    Yes,
    select_parked,
    selecting,
    workbench,
)
from ops.commands.dlq_view import print_plan, tally_shown
from ops.commands.options import Env
from ops.dlq import deeds
from ops.dlq.archive import read_archive
from ops.dlq.edit import InvalidEdit, with_values
from ops.dlq.filters import Filter
from ops.dlq.journal import AlreadyUnderWay
from ops.dlq.message import ParkedMessage, load_object
from ops.dlq.plan import Plan
from ops.dlq.queues import MoveNotOffered
from ops.dlq.replay import Pace
from ops.dlq.workbench import Busy, Workbench
from ops.errors import CommandFailed
from ops.screen import err, out

_REFUSALS = (deeds.ReplayRefused, AlreadyUnderWay, Busy)


def edit(
    message_id: Annotated[str, typer.Argument(help="Id of one message, or how it begins.")],
    *,
    assign: Annotated[
        list[str] | None, typer.Option("--set", help="path=value; the value is JSON or text.")
    ] = None,
    why: Why = "corrected",
    env: Env = "local",
) -> None:
    """Change what a replay of this message sends: in $EDITOR, or with --set. The original stays."""
    asyncio.run(_edit(env, message_id, assign or [], why))


async def _edit(env: Environment, message_id: str, assign: Sequence[str], why: str) -> None:
    async with workbench(env) as bench:
        message = await _only(bench, message_id)
        try:
            if assign:
                body = with_values(message.payload_text, assign)
            else:
                body = await asyncio.to_thread(_in_editor, message.payload_text)
            if load_object(body) == message.document and message.document is not None:
                err.print("nothing changed")
                return
            await deeds.edit(bench, message, body, why=why)
        except InvalidEdit as problem:
            raise CommandFailed(f"not kept: {problem}") from problem
    out.print(f"edited; send it with: quarry dlq replay {message_id} --why …", highlight=False)


async def _only(bench: Workbench, message_id: str) -> ParkedMessage:
    await bench.look(max_age=timedelta(seconds=30))
    found = await bench.parked(Filter(ids=(message_id,)))
    if len(found) != 1:
        raise CommandFailed(f"{len(found)} parked messages begin with {message_id!r}; give one")
    return found[0]


def _in_editor(body: str) -> str:
    with suppress(ValueError):  # what is not JSON is shown as it is
        body = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "message.json"
        path.write_text(body)
        command = [*shlex.split(os.environ.get("EDITOR", "vi")), str(path)]
        if subprocess.run(command, check=False).returncode:  # noqa: S603  # the person's own editor
            raise InvalidEdit(f"{command[0]} ended with an error")
        return path.read_text().strip()


@selecting
def replay(
    *,
    wanted: Filter,
    why: Why,
    plan_file: Annotated[
        Path | None, typer.Option("--plan", help="Carry out this plan.", exists=True)
    ] = None,
    archive: Annotated[
        str | None, typer.Option("--archive", help="Key of a rescue or purge to replay from.")
    ] = None,
    rate: Rate = 10,
    allow_reorder: Annotated[
        bool, typer.Option("--allow-reorder", help="Replay although a FIFO order breaks.")
    ] = False,
    yes: Yes = False,
    env: Env = "local",
) -> None:
    """Send messages to their queues again, then delete them here. Can be killed and resumed."""
    given = Plan.model_validate_json(plan_file.read_bytes()) if plan_file else None

    async def run() -> deeds.Result:
        async with workbench(env) as bench:
            await bench.look()
            plan, messages = await _planned(bench, wanted, given, archive)
            if not yes:
                print_plan(plan)
                typer.confirm(f"Send {len(plan.replayable)} messages?", abort=True)
            try:
                with tally_shown("replay") as show:
                    return await deeds.replay(
                        bench,
                        plan,
                        messages,
                        why=why,
                        pace=Pace(rate),
                        allow_reorder=allow_reorder,
                        archived=archive is not None,
                        progress=show,
                    )
            except _REFUSALS as problem:
                raise CommandFailed(str(problem)) from problem

    _tell(asyncio.run(run()))


async def _planned(
    bench: Workbench, wanted: Filter, given: Plan | None, archive: str | None
) -> tuple[Plan, list[ParkedMessage]]:
    if given is not None:
        return given, await bench.parked()
    if archive is not None:
        messages = await read_archive(bench.lake, archive)
    else:
        messages = await select_parked(bench, wanted)
    if not messages:
        raise CommandFailed(f"no parked message fits: {wanted.describe()}")
    plan = await bench.plan(messages, selection=archive or wanted.describe(), rows=False)
    return plan, messages


def resume(
    action_id: Annotated[
        str | None, typer.Argument(help="Which; without it the oldest that is not finished.")
    ] = None,
    *,
    rate: Rate = 10,
    env: Env = "local",
) -> None:
    """Take up a replay or purge that was killed; nothing is sent or deleted twice."""

    async def run() -> deeds.Result:
        async with workbench(env) as bench:
            wanted = action_id
            if wanted is None:
                unfinished = bench.journal.unfinished()
                if not unfinished:
                    raise CommandFailed("nothing to resume")
                wanted = unfinished[0].action_id
            try:
                with tally_shown("resume") as show:
                    return await deeds.resume(bench, wanted, pace=Pace(rate), progress=show)
            except _REFUSALS as problem:
                raise CommandFailed(str(problem)) from problem

    _tell(asyncio.run(run()))


@selecting
def purge(
    *,
    wanted: Filter,
    why: Why,
    rate: Rate = 100,
    yes: Yes = False,
    env: Env = "local",
) -> None:
    """Archive messages to the lake, then delete them here."""

    async def run() -> deeds.Result:
        async with workbench(env) as bench:
            await bench.look()
            messages = await select_parked(bench, wanted)
            if not yes:
                question = f"Archive and delete {len(messages)} messages ({wanted.describe()})?"
                typer.confirm(question, abort=True)
            try:
                with tally_shown("purge") as show:
                    return await deeds.purge(
                        bench,
                        messages,
                        why=why,
                        selection=wanted.describe(),
                        pace=Pace(rate),
                        progress=show,
                    )
            except _REFUSALS as problem:
                raise CommandFailed(str(problem)) from problem

    _tell(asyncio.run(run()))


def redrive(
    service: Annotated[str, typer.Argument(help="Whose dead-letter queue.")],
    *,
    why: Why,
    rate: Annotated[
        int | None, typer.Option("--rate", help="Messages a second, 1 to 500.", min=1, max=500)
    ] = None,
    env: Env = "local",
) -> None:
    """Let SQS itself move a whole queue back; where it does not offer that, replay everything."""

    async def run() -> str:
        async with workbench(env) as bench:
            found = [
                origin
                for origin in (await bench.origins()).values()
                if origin.service == service and not origin.events
            ]
            if not found:
                raise CommandFailed(f"no service {service!r} has a dead-letter queue")
            origin = found[0]
            if origin.fifo:
                raise CommandFailed(
                    "SQS would move FIFO messages without looking at the order of their groups; "
                    f"use: quarry dlq replay --service {service}"
                )
            try:
                entry = await deeds.redrive(bench, origin, per_second=rate, why=why)
            except MoveNotOffered as problem:
                err.print(f"{problem}; replaying instead", highlight=False)
                await bench.look()
                messages = await bench.parked(Filter(service=service))
                plan = await bench.plan(messages, selection=f"--service {service}", rows=False)
                try:
                    result = await deeds.replay(
                        bench, plan, messages, why=why, pace=Pace(rate or 100)
                    )
                except _REFUSALS as refusal:
                    raise CommandFailed(str(refusal)) from refusal
                entry = result.entry
            return entry.outcome

    out.print(asyncio.run(run()), highlight=False)


def rescue(
    *,
    hours: Annotated[float, typer.Option(help="Archive what expires within.", min=0)] = 48,
    why: Why = "before expiry",
    env: Env = "local",
) -> None:
    """Archive what will expire soon; `replay --archive KEY` can send it from there."""

    async def run() -> str:
        async with workbench(env) as bench:
            await bench.look()
            entry = await deeds.rescue(bench, within=timedelta(hours=hours), why=why)
            if entry is None:
                return f"nothing expires within {hours:g} hours"
            return f"{entry.messages} messages archived: {entry.plan}"

    out.print(asyncio.run(run()), highlight=False, soft_wrap=True)


def _tell(result: deeds.Result) -> None:
    entry = result.entry
    out.print(f"{entry.deed} {entry.action_id[:8]}: {entry.outcome}", highlight=False)
    if result.tally.open:
        raise CommandFailed(
            f"{result.tally.open} messages are held by someone else or not yet visible; "
            f"run: quarry dlq resume {entry.action_id[:8]}"
        )
    if result.tally.by_state.get("refused"):
        raise CommandFailed("some were refused by their queue; they are still parked")

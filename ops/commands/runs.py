"""`quarry runs`: each run with its stages, seconds, rows, warnings and what was parked."""

import asyncio
import json as json_module
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from infra.names import Environment
from ops.access import open_access
from ops.commands.options import Env, Json
from ops.errors import CommandFailed
from ops.runs import Run, read_steps, runs_of
from ops.screen import out

_STAGES = ("collector", "processor", "loader")
_HEADINGS = ("raw", "clean", "loads")


def runs(
    run_id: Annotated[str | None, typer.Argument(help="One run, or how its id begins.")] = None,
    *,
    limit: Annotated[int, typer.Option(help="How many runs.", min=1)] = 20,
    json: Json = False,
    env: Env = "local",
) -> None:
    """List runs, newest first; with an id, one run step by step."""
    found = asyncio.run(_read(env))
    if run_id is not None:
        found = [run for run in found if run.run_id.startswith(run_id)]
        if not found:
            raise CommandFailed(f"no run begins with {run_id!r}")
    found = found[:limit]
    if json:
        out.print_json(json_module.dumps([_as_json(run) for run in found]))
    elif run_id is not None and len(found) == 1:
        print_run(found[0])
    else:
        _print_runs(found)


async def _read(env: Environment) -> list[Run]:
    async with open_access(env) as access:
        return runs_of(await read_steps(access.clients.dynamodb, access.names.runs_table))


def _print_runs(found: list[Run]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("run", "state", *_HEADINGS, "seconds", "rows", "notes"):
        right = column in {"seconds", "rows"}
        # An id cut short cannot be asked for, and numbers are read at a glance or not at all.
        table.add_column(column, justify="right" if right else "left", no_wrap=column != "notes")
    for run in found:
        progress = run.progress
        notes = [
            f"{len(progress.parked)} parked" if progress.parked else "",
            f"{len(progress.warnings)} warnings" if progress.warnings else "",
            f"{progress.quarantined} quarantined" if progress.quarantined else "",
        ]
        table.add_row(
            run.run_id,
            progress.state,
            *(_stage(run, stage) for stage in _STAGES),
            f"{progress.seconds:.1f}" if progress.seconds is not None else "",
            f"{run.rows:,}",
            ", ".join(filter(None, notes)),
        )
    out.print(table)


def _stage(run: Run, stage: str) -> str:
    steps = [step for step in run.steps if step.stage == stage]
    done = sum(step.status == "done" for step in steps)
    return f"{done}/{len(steps)}" if steps else ""


def print_run(run: Run) -> None:
    """Print one run's steps, warnings and reasons."""
    progress = run.progress
    out.print(f"run {run.run_id}: {progress.state}, {run.rows:,} rows", highlight=False)
    if run.trace:
        out.print(f"trace {run.trace}", highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("stage", "part", "status", "attempt", "seconds", "counts", "outcome"):
        table.add_column(column, overflow="fold")
    for step in run.steps:
        table.add_row(
            step.stage,
            step.part,
            step.status,
            str(step.attempt),
            f"{step.seconds:.2f}" if step.seconds is not None else "",
            ", ".join(f"{count:,} {name}" for name, count in step.counts.items()),
            step.outcome or "",
        )
    out.print(table)
    for warning in progress.warnings:
        out.print(f"warning: {escape(warning)}", highlight=False, soft_wrap=True)
    for parked in progress.parked:
        said = f"parked: {parked.stage} {parked.part}: {parked.reason}"
        out.print(escape(said), highlight=False, soft_wrap=True)


def _as_json(run: Run) -> dict[str, Any]:
    progress = run.progress
    return {
        "run_id": run.run_id,
        "dataset": run.dataset,
        "state": progress.state,
        "started_at": run.started_at.isoformat(),
        "seconds": progress.seconds,
        "rows": run.rows,
        "quarantined": progress.quarantined,
        "trace": run.trace,
        "warnings": list(progress.warnings),
        "parked": [vars(parked) for parked in progress.parked],
        "steps": [step.model_dump(mode="json") for step in run.steps],
    }

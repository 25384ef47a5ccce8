"""`quarry send`: one message to the generator queue, followed to the last commit on request."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from contracts import Envelope, GenerateRequest, Period
from ops.commands.options import Env, Json
from ops.errors import CommandFailed
from ops.progress_view import progress_shown
from ops.run_report import report
from ops.screen import err, out
from ops.stack.home import find_home
from ops.stack.running import dead_parts
from ops.target import Target, find_target
from ops.watch import Ended, begin_watch
from shared.send import send_batch

_INTERRUPTED = 130


@dataclass(frozen=True)
class Sent:
    """A request that is on its way; `ended` None when nobody waited for it."""

    run_id: str
    ended: Ended | None


def send(
    *,
    first: Annotated[
        str | None, typer.Option("--from", help="First quarter, such as 2013Q1.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="Last quarter; without it only the first.")
    ] = None,
    dataset: Annotated[str, typer.Option(help="What to pull.")] = "call_reports",
    max_items: Annotated[
        int | None, typer.Option(min=1, help="Take at most so many items of each scanned table.")
    ] = None,
    save_csv: Annotated[
        bool, typer.Option("--save-csv", help="Keep the rows as CSV too, beside the Parquet.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the run until every row is committed.")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Most seconds to wait.")] = 3600,
    json: Json = False,
    env: Env = "local",
) -> None:
    """Ask for quarters of a dataset. With --wait the exit code says whether all rows are in."""
    request = request_for(dataset, first, last).model_copy(
        update={"max_items": max_items, "save_csv": save_csv}
    )
    run_id = new_run_id()
    try:
        sending = send_request(
            find_target(env), request, run_id, wait=wait, timeout_seconds=timeout
        )
        sent = asyncio.run(sending)
    except KeyboardInterrupt:
        err.print(f"\nthe run {run_id} goes on; look with: quarry status")
        raise typer.Exit(_INTERRUPTED) from None
    _tell(sent, as_json=json)


def request_for(dataset: str, first: str | None, last: str | None) -> GenerateRequest:
    """Return the request for the quarters `first` to `last`; `last` may be left out.

    Raises:
        CommandFailed: a quarter is not written like 2023Q1, or `--to` came without `--from`.
    """
    if first is None:
        if last is not None:
            raise CommandFailed("--to needs --from")
        return GenerateRequest(dataset=dataset)
    try:
        start = Period.parse(first)
        end = Period.parse(last or first)
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    return GenerateRequest(
        dataset=dataset,
        start_year=start.year,
        start_quarter=start.quarter,
        end_year=end.year,
        end_quarter=end.quarter,
    )


def new_run_id() -> str:
    """Return an id that sorts by time and is easy to say: `20261121-083012-3f9a`."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


async def send_request(
    target: Target, request: GenerateRequest, run_id: str, *, wait: bool, timeout_seconds: float
) -> Sent:
    """Send the request and, when asked to, follow its run with the progress on the screen."""
    async with target.clients() as clients:
        watch = await begin_watch(target, clients, run_id, _dead_parts(target))
        envelope = Envelope[GenerateRequest].wrap(
            request, run_id=run_id, trace=None, sent_at=datetime.now(UTC)
        )
        queue = target.queue_url(target.names.queue("generator"))
        await send_batch(clients.sqs, queue, [(envelope, None)])
        if not wait:
            return Sent(run_id, None)
        with progress_shown() as show:
            return Sent(run_id, await watch.follow(show, timeout_seconds=timeout_seconds))


def _dead_parts(target: Target) -> Callable[[], Sequence[str]]:
    if target.endpoint_url is None:
        return list
    home = find_home()
    return lambda: dead_parts(home, home.read())


def _tell(sent: Sent, *, as_json: bool) -> None:
    if as_json:
        out.print_json(data=report(sent.ended) if sent.ended else {"run_id": sent.run_id})
    elif sent.ended is None:
        out.print(f"sent; run {sent.run_id}", highlight=False)
    else:
        print_summary(sent.ended)
    if sent.ended is not None and sent.ended.problem:
        raise CommandFailed(sent.ended.problem)


def print_summary(ended: Ended) -> None:
    """Print what landed: tables, rows, quarantined rows, warnings."""
    progress = ended.progress
    rows = sum(progress.rows_by_table.values())
    seconds = f" in {progress.seconds:.1f} s" if progress.seconds else ""
    out.print(
        f"run {progress.run_id}: {len(progress.loads)} loads, {rows:,} rows, "
        f"{progress.quarantined} quarantined{seconds}",
        highlight=False,
    )
    for warning in progress.warnings:
        out.print(f"  warning: {warning}", markup=False, highlight=False, soft_wrap=True)

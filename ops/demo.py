"""`make demo`: the stack, two generated quarters through all of it, and what landed."""

import asyncio
import os
import sys
from collections import Counter

from rich.columns import Columns
from rich.markup import escape
from rich.table import Table

from ops.commands.send import new_run_id, request_for, send_request
from ops.commands.sql import ask, print_answer
from ops.errors import CommandFailed
from ops.run_progress import RunProgress
from ops.screen import err, out, say
from ops.stack.home import find_home
from ops.stack.postgres import PostgresDidNotStart
from ops.stack.up import Options, Up, bring_up
from ops.target import find_target
from ops.watch import Ended
from shared.errors import QuarryError

_FIRST, _LAST = "2019Q4", "2020Q1"
_WAIT_SECONDS = 1200
_LARGEST_BANKS = """\
select por.financial_institution_name as bank,
       coalesce(rc.rcfd2170, rc.rcon2170) as total_assets_thousand_dollars
from call_reports.rc join call_reports.por using (idrssd, period_end)
where period_end = '2020-03-31'
order by 2 desc nulls last
limit 10"""


def demo() -> None:
    """Bring the stack up, send two quarters, wait for every commit, show the result.

    Raises:
        CommandFailed: a part did not start, or rows did not land.
    """
    out.rule("[bold]Quarry: one message, two quarters, every row accounted for")
    options = Options(database_url=os.environ.get("DATABASE_URL"), generated=True)
    stack = bring_up(find_home(), options, say)
    out.print(
        f"The stack runs on 127.0.0.1. Its portal stand-in serves quarters {_FIRST} and {_LAST} "
        "of the regulator's size and shape; [bold]their banks and figures are made up[/bold].\n"
    )
    ended = _send_and_wait()
    _show(ended.progress)
    if ended.problem:
        raise CommandFailed(ended.problem)
    out.print("\n[bold]Ten largest (generated) banks by total assets, 2020-03-31[/bold]")
    out.print(_LARGEST_BANKS, markup=False, highlight=False, style="dim")
    print_answer(ask(stack.database_url, _LARGEST_BANKS))
    _show_what_next(stack)


def _send_and_wait() -> Ended:
    request = request_for("call_reports", _FIRST, _LAST)
    sending = send_request(
        find_target("local"), request, new_run_id(), wait=True, timeout_seconds=_WAIT_SECONDS
    )
    ended = asyncio.run(sending).ended
    if ended is None:
        raise CommandFailed("the run was sent and not followed")
    return ended


def _show(progress: RunProgress) -> None:
    rows = progress.rows_by_table
    outcomes = Counter(load.outcome or "loaded" for load in progress.loads)
    out.print(
        f"\n[bold green]{sum(rows.values()):,} rows in {len(rows)} tables[/bold green], "
        f"{progress.quarantined} quarantined, in {progress.seconds or 0:.1f} s; loads: "
        + ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    )
    cells = [f"{table.rpartition('.')[2]} [dim]{count:,}[/dim]" for table, count in rows.items()]
    out.print(Columns(cells, padding=(0, 3)))
    for warning in progress.warnings:
        out.print(f"[yellow]warning[/yellow] {escape(warning)}", soft_wrap=True)
    stages = Table("seconds", "collect", "process", "load", box=None, header_style="bold")
    for folder in progress.folders:
        seconds = (folder.collector.seconds, folder.processor.seconds, folder.loader.seconds)
        stages.add_row(folder.part, *("" if s is None else f"{s:.1f}" for s in seconds))
    out.print(stages)


def _show_what_next(stack: Up) -> None:
    lines = [
        ("./quarry tables", "what is there"),
        ("./quarry sql 'select * from quarry.load limit 3' --json", "where rows came from"),
        ("./quarry send --from 2020Q2 --to 2020Q4 --wait", "more quarters"),
        ("./quarry up --zips DIR", "serve real zips"),
        ("./quarry status", "parts, queues, parked messages"),
        ("./quarry down", "stop; the data stays"),
    ]
    out.print("\n[bold]The stack is still running. Try next[/bold]")
    for command, purpose in lines:
        out.print(f"  {escape(command)}  [dim]{purpose}[/dim]", highlight=False, soft_wrap=True)
    out.print(f"AWS emulator: {stack.endpoint_url}", highlight=False)


if __name__ == "__main__":
    try:
        demo()
    except (CommandFailed, QuarryError, PostgresDidNotStart) as error:
        err.print(f"[red]demo:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        err.print("\nthe run goes on; look with: ./quarry status; stop with: ./quarry down")
        sys.exit(130)

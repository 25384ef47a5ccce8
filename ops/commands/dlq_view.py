"""How dead-letter queues, messages, plans and audit entries look in the terminal."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.syntax import Syntax
from rich.table import Table

from ops.dlq.audit import AuditEntry
from ops.dlq.groups import grouped, sparkline
from ops.dlq.journal import Tally
from ops.dlq.message import ParkedMessage
from ops.dlq.plan import Plan
from ops.dlq.store import Look
from ops.screen import err, out

_SPAN = timedelta(hours=24)
_BUCKETS = 12
_ID = 8


def table(*columns: str, folded: Sequence[str] = ()) -> Table:
    """Return an empty table in the house style; `folded` columns and the last share what is left.

    An id or a number in two lines cannot be read, a sentence can.
    """
    found = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        wraps = column in folded or column == columns[-1]
        found.add_column(column, overflow="fold", no_wrap=not wraps)
    return found


def print_queues(looks: Sequence[Look], messages: Sequence[ParkedMessage]) -> None:
    """Print each queue's depth and oldest message, then the groups of failures."""
    now = datetime.now(UTC)
    queues = table("queue", "parked", "seen", "in flight", "oldest", "first expiry")
    for look in looks:
        own = [message for message in messages if message.queue == look.queue]
        oldest = min((message.sent_at for message in own), default=None)
        expiry = min((message.expires_at for message in own), default=None)
        queues.add_row(
            look.queue,
            str(look.depth),
            str(look.seen),
            str(look.in_flight),
            span(now - oldest) if oldest else "",
            f"in {span(expiry - now)}" if expiry else "",
        )
    out.print(queues)
    for look in looks:
        if look.seen < look.depth:
            err.print(
                f"{look.queue}: {look.depth - look.seen} could not be seen: of one FIFO group SQS "
                "shows ten until they are gone",
                highlight=False,
            )
    groups = grouped(messages)
    if groups:
        out.print()
        found = table("kind", "count", "last 24 h", "service", "dataset", "error")
        for group in groups:
            counts = group.counts(now=now, span=_SPAN, buckets=_BUCKETS)
            example = group.example
            found.add_row(
                group.kind,
                str(len(group.messages)),
                sparkline(counts),
                example.service,
                example.dataset or "",
                f"{escape(example.error_type)}: {escape(example.reason)}",
            )
        out.print(found)


def print_messages(messages: Sequence[ParkedMessage]) -> None:
    """Print one line a message."""
    now = datetime.now(UTC)
    found = table("id", "service", "received", "parked", "expires", "what")
    for message in messages:
        part = " ".join(filter(None, [message.period, message.table])) or message.dataset or ""
        found.add_row(
            message.message_id[:_ID] + ("*" if message.edited_body is not None else ""),
            message.service,
            str(message.receive_count),
            f"{span(now - message.parked_at)} ago",
            f"in {span(message.expires_at - now)}",
            f"[bold]{escape(part)}[/] {escape(message.error_type)}: {escape(message.reason)}",
        )
    out.print(found)
    out.print(f"{len(messages)} messages; * edited", highlight=False)


def print_message(message: ParkedMessage) -> None:
    """Print everything about one message."""
    now = datetime.now(UTC)
    facts = {
        "id": message.message_id,
        "queue": message.queue,
        "kind": message.kind,
        "error": f"{message.error_type}: {message.reason}",
        "parked": f"{message.parked_at:%Y-%m-%d %H:%M:%S} UTC, {span(now - message.parked_at)} ago",
        "expires": f"{message.expires_at:%Y-%m-%d %H:%M} UTC, in {span(message.expires_at - now)}",
        "received": f"{message.receive_count} times from this queue, looks included",
        "first id": message.original_message_id,
        "replayed": f"{message.replay_attempt} times before",
        "group": message.order_group or "",
    }
    found = table("", "")
    found.show_header = False
    for name, fact in facts.items():
        if fact:
            found.add_row(name, escape(fact))
    out.print(found)
    out.print(Panel(_body(message.body), title="body"))
    if message.edited_body is not None:
        out.print(Panel(_body(message.edited_body), title="edited body, sent by a replay"))
    if message.traceback:
        out.print(Panel(escape(message.traceback), title="traceback"))


def _body(text: str) -> Syntax:
    with suppress(ValueError):  # what is not JSON is shown as it is
        text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return Syntax(text, "json", word_wrap=True, background_color="default")


def print_plan(plan: Plan) -> None:
    """Print what a replay would do, message by message."""
    found = table("id", "target", "part", "effect", folded=("part",))
    for one in plan.messages:
        part = " ".join(filter(None, [one.period, one.table])) or one.dataset or ""
        found.add_row(
            one.message_id[:_ID] + ("*" if one.edited else ""),
            one.target,
            part,
            "\n".join(escape(text) for text in (one.effect, one.order_risk) if text),
        )
    out.print(found)
    out.print(
        f"{len(plan.replayable)} of {len(plan.messages)} would be sent; "
        f"{len(plan.risks)} would break an order",
        highlight=False,
    )


def print_audit(entries: Iterable[AuditEntry]) -> None:
    """Print the newest deeds."""
    columns = ("when", "who", "deed", "what", "why", "messages", "outcome", "plan")
    found = table(*columns, folded=("who", "what", "why", "outcome"))
    for entry in entries:
        found.add_row(
            f"{entry.at:%Y-%m-%d %H:%M:%S}",
            escape(entry.who),
            entry.deed,
            escape(entry.what),
            escape(entry.why),
            str(entry.messages),
            escape(entry.outcome),
            entry.plan or "",
        )
    out.print(found)


@contextmanager
def tally_shown(doing: str) -> Iterator[Callable[[Tally], None]]:
    """Show a bar on standard error; call what is yielded with each new tally."""
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[s]}"))
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(doing, total=None, s="")

        def show(tally: Tally) -> None:
            said = ", ".join(f"{count} {state}" for state, count in tally.by_state.items())
            progress.update(task, total=tally.total, completed=tally.ended, s=said)

        yield show


def span(length: timedelta) -> str:
    """Say a length of time in its largest unit: 40 s, 12 min, 5 h, 3 d."""
    seconds = int(length.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if abs(seconds) >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"

"""What changes something: edit, replay, purge, rescue, redrive. Each is in the audit table."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from ops.dlq.archive import archive_key, write_archive
from ops.dlq.audit import AuditEntry, Deed
from ops.dlq.edit import InvalidEdit, contract_problem
from ops.dlq.journal import Action, ActionKind, Item, Tally
from ops.dlq.message import Origin, ParkedMessage, digest
from ops.dlq.plan import Plan, PlannedMessage, body_digest, outgoing_body
from ops.dlq.queues import Outgoing
from ops.dlq.replay import Execution, Pace
from ops.dlq.workbench import Workbench

Progress = Callable[[Tally], None]


class ReplayRefused(ValueError):
    """The plan must not be carried out as it is; the sentence says why and what to do."""


@dataclass(frozen=True)
class Result:
    """How a deed ended."""

    entry: AuditEntry
    tally: Tally


async def edit(bench: Workbench, message: ParkedMessage, body: str, *, why: str) -> ParkedMessage:
    """Keep `body` for the message's replay, beside the original.

    Raises:
        InvalidEdit: its service would refuse the body.
    """
    problem = contract_problem(message.service, body)
    if problem is not None:
        raise InvalidEdit(f"{message.service} would refuse this: {problem}")
    edited = bench.snapshots.edit(message, body)
    entry = _entry(bench, "edit", why, f"message {message.message_id} of {message.queue}", 1)
    key = archive_key("edit", entry.action_id)
    await write_archive(bench.lake, key, [edited])
    await bench.audit.write(_ended(entry.model_copy(update={"plan": key}), "edited"))
    return edited


async def replay(
    bench: Workbench,
    plan: Plan,
    messages: Iterable[ParkedMessage],
    *,
    why: str,
    pace: Pace,
    allow_reorder: bool = False,
    archived: bool = False,
    progress: Progress = lambda _: None,
) -> Result:
    """Send the plan's messages to their queues and delete them from where they are parked.

    `archived` ones are sent even when the dead-letter queue no longer has them.

    Raises:
        ReplayRefused: nothing can be replayed, an order would be broken, or a message is no
            longer as it was planned.
        AlreadyUnderWay: an unfinished replay or purge has one of the messages.
    """
    if not plan.replayable:
        raise ReplayRefused("no message of this plan can be replayed")
    if plan.risks and not allow_reorder:
        first = plan.risks[0]
        raise ReplayRefused(
            f"{len(plan.risks)} of {len(plan.replayable)} would break the order of their group: "
            f"{first.message_id[:8]}: {first.order_risk}. --allow-reorder replays all the same"
        )
    origins = await bench.origins()
    by_id = {(message.queue, message.message_id): message for message in messages}
    entry = _entry(bench, "replay", why, plan.selection, len(plan.replayable))
    items = [
        _item(
            at,
            one,
            by_id.get((one.queue, one.message_id)),
            origins,
            action_id=entry.action_id,
            archived=archived,
        )
        for at, one in enumerate(plan.replayable)
    ]
    key = archive_key("replay", entry.action_id)
    await bench.lake.put(key, plan.model_dump_json().encode())
    entry = entry.model_copy(update={"plan": key})
    return await _carry_out(bench, entry, "replay", items, pace=pace, progress=progress)


async def purge(
    bench: Workbench,
    messages: Sequence[ParkedMessage],
    *,
    why: str,
    selection: str,
    pace: Pace,
    progress: Progress = lambda _: None,
) -> Result:
    """Archive the messages, then delete them.

    Raises:
        ReplayRefused: no message is meant.
        AlreadyUnderWay: an unfinished replay or purge has one of the messages.
    """
    if not messages:
        raise ReplayRefused("no message is meant")
    origins = await bench.origins()
    entry = _entry(bench, "purge", why, selection, len(messages))
    key = archive_key("purge", entry.action_id)
    entry = entry.model_copy(update={"plan": key})
    await write_archive(bench.lake, key, messages)
    # Safe in the archive: what is left to do is to delete.
    items = [
        Item(
            position=at,
            queue=message.queue,
            target=origins[message.queue].target,
            message_id=message.message_id,
            outgoing=Outgoing(message.body, {}),
            state="sent",
        )
        for at, message in enumerate(messages)
    ]
    return await _carry_out(bench, entry, "purge", items, pace=pace, progress=progress)


async def resume(
    bench: Workbench, action_id: str, *, pace: Pace, progress: Progress = lambda _: None
) -> Result:
    """Take up a replay or purge that did not finish; `action_id` may be its beginning.

    Raises:
        ReplayRefused: there is none.
    """
    action = bench.journal.action(action_id)
    if action is None:
        raise ReplayRefused(f"no replay or purge {action_id!r} was begun from this machine")
    with bench.alone():
        return await _run(bench, action, pace, progress)


async def rescue(bench: Workbench, *, within: timedelta, why: str) -> AuditEntry | None:
    """Archive what expires `within` the time given; the messages stay. None: nothing does."""
    now = datetime.now(UTC)
    expiring = [m for m in await bench.parked() if m.expires_at <= now + within]
    if not expiring:
        return None
    hours = within.total_seconds() / 3600
    entry = _entry(bench, "rescue", why, f"expiring within {hours:g} hours", len(expiring))
    key = archive_key("rescue", entry.action_id)
    await write_archive(bench.lake, key, expiring)
    entry = _ended(entry.model_copy(update={"plan": key}), "archived")
    await bench.audit.write(entry)
    return entry


async def redrive(
    bench: Workbench, origin: Origin, *, per_second: int | None, why: str
) -> AuditEntry:
    """Let SQS itself move the whole queue back.

    Raises:
        MoveNotOffered: this SQS does not do that.
    """
    depth = await bench.queues.depth(origin.queue)
    entry = _entry(bench, "redrive", why, origin.queue, depth.waiting)
    handle = await bench.queues.move(origin, per_second=per_second)
    entry = _ended(entry, f"SQS moves it: task {handle[:40]}")
    await bench.audit.write(entry)
    return entry


async def _carry_out(
    bench: Workbench,
    entry: AuditEntry,
    kind: ActionKind,
    items: list[Item],
    *,
    pace: Pace,
    progress: Progress,
) -> Result:
    action = Action(entry.action_id, kind, entry.at, entry.who, entry.why, entry.key)
    with bench.alone():
        # The journal first: an audit entry of a deed that was refused would be a lie.
        bench.journal.begin(action, items)
        await bench.audit.write(entry)
        return await _run(bench, action, pace, progress, entry)


async def _run(
    bench: Workbench,
    action: Action,
    pace: Pace,
    progress: Progress,
    entry: AuditEntry | None = None,
) -> Result:
    execution = Execution(
        action.action_id, bench.journal, bench.queues, pace, progress, bench.lease_seconds
    )
    origins = await bench.origins()
    items = bench.journal.items(action.action_id)
    used = {item.queue for item in items}
    tally = await execution.run([one for name, one in origins.items() if name in used])
    for item in bench.journal.items(action.action_id):
        if item.state in ("done", "gone"):
            bench.snapshots.forget(item.queue, [item.message_id])
    if entry is None:
        entry = await _begun(bench, action, len(items))
    outcome = ", ".join(f"{count} {state}" for state, count in sorted(tally.by_state.items()))
    entry = _ended(entry, outcome if not tally.open else f"not finished: {outcome}")
    await bench.audit.write(entry)
    return Result(entry, tally)


async def _begun(bench: Workbench, action: Action, messages: int) -> AuditEntry:
    """Return the audit entry of an action taken up; a kill may have come before it was written."""
    found = await bench.audit.entry(action.audit_key)
    return found or AuditEntry(
        action_id=action.action_id,
        deed=action.kind,
        at=action.started_at,
        who=action.who,
        why=action.why,
        what="taken up after a kill",
        messages=messages,
        plan=archive_key(action.kind, action.action_id),
    )


def _item(
    position: int,
    planned: PlannedMessage,
    message: ParkedMessage | None,
    origins: dict[str, Origin],
    *,
    action_id: str,
    archived: bool,
) -> Item:
    if message is None:
        raise ReplayRefused(f"message {planned.message_id} is no longer in {planned.queue}")
    origin = origins[planned.queue]
    body = outgoing_body(message, origin)
    if body_digest(body) != planned.body_sha256:
        raise ReplayRefused(f"message {planned.message_id} was edited since the plan was made")
    attempt = message.replay_attempt + 1
    # Fresh, so that neither SQS nor the service takes it for the original; the same after a kill,
    # and for two people who replay the same message at once.
    replay_id = digest("replay", message.message_id, str(attempt))
    fifo = origin.fifo
    return Item(
        position=position,
        queue=origin.queue,
        target=origin.target,
        message_id=message.message_id,
        order_group=message.order_group if fifo else None,
        archived=archived,
        outgoing=Outgoing(
            body=body,
            attributes={
                "original_message_id": message.original_message_id,
                "replay_attempt": str(attempt),
                "replay": action_id,
                "replay_id": replay_id,
            },
            group=(message.order_group or "none") if fifo else None,
            deduplication_id=replay_id if fifo else None,
        ),
    )


def _entry(bench: Workbench, deed: Deed, why: str, what: str, messages: int) -> AuditEntry:
    return AuditEntry(
        action_id=str(uuid4()),
        deed=deed,
        at=datetime.now(UTC),
        who=bench.who,
        why=why,
        what=what,
        messages=messages,
    )


def _ended(entry: AuditEntry, outcome: str) -> AuditEntry:
    return entry.model_copy(update={"outcome": outcome, "ended_at": datetime.now(UTC)})

"""Options of the `quarry dlq` commands: which messages are meant."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import wraps
from inspect import Signature, signature
from typing import Annotated, Any, get_args

import typer

from infra.names import Environment, Service
from ops.access import open_access
from ops.dlq.filters import Filter, InvalidFilter, moment
from ops.dlq.message import ParkedMessage
from ops.dlq.workbench import Workbench, open_workbench
from ops.errors import CommandFailed
from ops.stack.home import find_home

Ids = Annotated[list[str] | None, typer.Argument(help="Message ids, or how they begin.")]
OfService = Annotated[str | None, typer.Option("--service", help="Whose queue.")]
OfDataset = Annotated[str | None, typer.Option("--dataset", help="Dataset of the payload.")]
OfPeriod = Annotated[str | None, typer.Option("--period", help="Quarter, such as 2013Q1.")]
OfError = Annotated[str | None, typer.Option("--error", help="Part of error type or reason.")]
OfKind = Annotated[str | None, typer.Option("--kind", help="A group's id, from `dlq list`.")]
Since = Annotated[str | None, typer.Option("--since", help="Parked after: 12h, 3d, ISO time.")]
Until = Annotated[str | None, typer.Option("--until", help="Parked before: 12h, 3d, ISO time.")]
Where = Annotated[
    str | None, typer.Option("--where", help="JMESPath on the body: payload.table == 'rc'.")
]
Why = Annotated[str, typer.Option("--why", help="The reason, for the audit table.")]
Rate = Annotated[float, typer.Option("--rate", help="Messages a second.", min=0.02, max=3000)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def filter_from(
    ids: Ids = None,
    *,
    service: OfService = None,
    dataset: OfDataset = None,
    period: OfPeriod = None,
    error: OfError = None,
    kind: OfKind = None,
    since: Since = None,
    until: Until = None,
    where: Where = None,
) -> Filter:
    """Return the filter that the options describe.

    Raises:
        CommandFailed: an option cannot be read.
    """
    if service is not None and service not in get_args(Service):
        raise CommandFailed(f"no service {service!r}; there are: {', '.join(get_args(Service))}")
    now = datetime.now(UTC)
    try:
        return Filter(
            service=service,
            dataset=dataset,
            period=period,
            error=error,
            kind=kind,
            since=moment(since, now) if since else None,
            until=moment(until, now) if until else None,
            where=where,
            ids=tuple(ids or ()),
        )
    except InvalidFilter as problem:
        raise CommandFailed(str(problem)) from problem


def selecting(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `filter_from`; it is called with the filter as `wanted`."""
    options = signature(filter_from).parameters
    own = {name: one for name, one in signature(command).parameters.items() if name != "wanted"}

    @wraps(command)
    def with_options(**given: Any) -> None:
        words = {name: given.pop(name) for name in options}
        command(wanted=filter_from(**words), **given)

    parameters = [*options.values(), *own.values()]
    # What Typer reads.
    vars(with_options)["__signature__"] = Signature(parameters)
    with_options.__annotations__ = {one.name: one.annotation for one in parameters}
    return with_options


@asynccontextmanager
async def workbench(env: Environment) -> AsyncIterator[Workbench]:
    """Open the environment's workbench; its store lies in the stack's folder."""
    async with open_access(env) as access:
        with open_workbench(access, find_home().path) as bench:
            yield bench


async def select_parked(bench: Workbench, wanted: Filter) -> list[ParkedMessage]:
    """Return the messages meant.

    Raises:
        CommandFailed: the body expression does not parse.
    """
    try:
        return await bench.parked(wanted)
    except InvalidFilter as problem:
        raise CommandFailed(str(problem)) from problem

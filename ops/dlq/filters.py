"""Which messages are meant: every condition given must hold."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from ops.dlq.message import ParkedMessage

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class InvalidFilter(ValueError):
    """A condition that cannot be read; the sentence shows where."""


@dataclass(frozen=True)
class Filter:
    """Conditions on messages; None means any.

    `kind` is a group's id as `quarry dlq list` shows it; `error` is part of the error's class name
    or of the reason; `where` is a JMESPath expression on the body, true when its value is truthy
    (``payload.table == 'rc'``); `ids` are message ids or their beginnings.
    """

    service: str | None = None
    dataset: str | None = None
    period: str | None = None
    error: str | None = None
    kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    where: str | None = None
    ids: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether everything is meant."""
        return self == Filter()

    def describe(self) -> str:
        """Return the conditions as the command line would give them."""
        given = {name: value for name, value in vars(self).items() if value and name != "ids"}
        words = [*self.ids, *(f"--{name} {value}" for name, value in given.items())]
        return " ".join(words) or "everything"


def select(messages: Iterable[ParkedMessage], wanted: Filter) -> list[ParkedMessage]:
    """Return the messages that fit, in their order.

    Raises:
        InvalidFilter: the JMESPath expression does not parse.
    """
    expression = _compiled(wanted.where)
    return [
        message
        for message in messages
        if _fits(message, wanted) and (expression is None or _holds(expression, message))
    ]


def moment(text: str, now: datetime) -> datetime:
    """Read `90m`, `12h` or `3d` as that long before `now`, anything else as an ISO time.

    Raises:
        InvalidFilter: neither.
    """
    span = re.fullmatch(r"(\d{1,6})([mhd])", text)
    if span is not None:
        return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidFilter(f"{text!r} is no time; write 12h, 3d or 2026-11-21T09:00") from error
    return found if found.tzinfo else found.astimezone()


def _compiled(where: str | None) -> Any:
    if where is None:
        return None
    try:
        return jmespath.compile(where)
    except JMESPathError as error:
        raise InvalidFilter(f"the body expression {where!r} does not parse: {error}") from error


def _holds(expression: Any, message: ParkedMessage) -> bool:
    if message.document is None:
        return False
    try:
        return bool(expression.search(message.document))
    except JMESPathError:
        # A function met a value of another type in this body: the condition does not hold here.
        return False


def _fits(message: ParkedMessage, wanted: Filter) -> bool:
    error = (wanted.error or "").lower()
    return (
        wanted.service in (None, message.service)
        and wanted.dataset in (None, message.dataset)
        and wanted.period in (None, message.period)
        and (not error or error in f"{message.error_type} {message.reason}".lower())
        and (wanted.kind is None or message.kind.startswith(wanted.kind))
        and (wanted.since is None or message.parked_at >= wanted.since)
        and (wanted.until is None or message.parked_at < wanted.until)
        and (not wanted.ids or message.message_id.startswith(wanted.ids))
    )

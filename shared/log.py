"""The one structured logger; run and message ids are bound per task, so they never mix."""

from collections.abc import Iterator
from contextlib import contextmanager

from aws_lambda_powertools import Logger

log = Logger(service="quarry", utc=True)


@contextmanager
def bound(**fields: str | int | None) -> Iterator[None]:
    """Add fields to every line logged inside, in this task and in threads it starts."""
    log.thread_safe_append_keys(**fields)
    try:
        yield
    finally:
        log.thread_safe_remove_keys(list(fields))

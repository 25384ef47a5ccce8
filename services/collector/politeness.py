"""One visitor per host at a time, and a pause between visits, across all collectors."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

from contracts import Period, PortalSource
from services.collector.sources.source import Download, Source
from shared.aws import aws_errors
from shared.errors import QuarryError, SourceBusy
from shared.log import log

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient

_POLL_SECONDS = 0.25


class HostLease(Protocol):
    """A turn at one host, known to every collector."""

    async def take(self, host: str, holder: str, seconds: float) -> bool:
        """Take or keep the turn for `seconds`; False when another holds it or it is too early."""

    async def give_back(self, host: str, holder: str, pause_seconds: float) -> None:
        """End the turn; nobody may visit for `pause_seconds`."""


@dataclass(frozen=True)
class PoliteSource:
    """A source that waits for its turn. A turn whose holder died ends after `lease_seconds`."""

    source: Source
    lease: HostLease
    host: str
    pause_seconds: float
    patience_seconds: float
    lease_seconds: float = 60

    async def fetch(self, source: PortalSource, period: Period, into: Path) -> Download:
        """Fetch when it is our turn.

        Raises:
            SourceBusy: it was not within `patience_seconds`.
        """
        async with self._turn():
            return await self.source.fetch(source, period, into)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        holder = uuid4().hex
        deadline = time.monotonic() + self.patience_seconds
        while not await self.lease.take(self.host, holder, self.lease_seconds):
            if time.monotonic() >= deadline:
                raise SourceBusy(f"another collector is visiting {self.host}; trying again later")
            await asyncio.sleep(_POLL_SECONDS)
        ending = asyncio.Event()
        keeping = asyncio.create_task(self._keep(holder, ending))
        try:
            yield
        finally:
            ending.set()
            # Not cancelled: a request on its way could take the turn again after its end.
            await keeping
            await self._end(holder)

    async def _keep(self, holder: str, ending: asyncio.Event) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(ending.wait(), self.lease_seconds / 3)
                return
            try:
                if not await self.lease.take(self.host, holder, self.lease_seconds):
                    log.warning("turn_was_lost", host=self.host)
            except QuarryError as error:
                log.warning("turn_not_extended", host=self.host, reason=str(error))

    async def _end(self, holder: str) -> None:
        try:
            await self.lease.give_back(self.host, holder, self.pause_seconds)
        except QuarryError as error:
            # The turn runs out by itself; what was fetched is not thrown away for it.
            log.warning("turn_not_given_back", host=self.host, reason=str(error))


class DynamoHostLease:
    """One item per host in the runs table, changed only under a condition."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    async def take(self, host: str, holder: str, seconds: float) -> bool:
        """Take or keep the turn for `seconds`; False when another holds it or it is too early."""
        now = time.time()
        with aws_errors(f"taking a turn at {host}"):
            try:
                await self._dynamodb.update_item(
                    TableName=self._table,
                    Key=_key(host),
                    UpdateExpression="SET holder = :me, free_at = :until",
                    ConditionExpression="attribute_not_exists(free_at) OR free_at <= :now"
                    " OR holder = :me",
                    ExpressionAttributeValues={
                        ":me": {"S": holder},
                        ":now": {"N": str(now)},
                        ":until": {"N": str(now + seconds)},
                    },
                )
            except self._dynamodb.exceptions.ConditionalCheckFailedException:
                return False
        return True

    async def give_back(self, host: str, holder: str, pause_seconds: float) -> None:
        """End the turn; nobody may visit for `pause_seconds`."""
        with aws_errors(f"ending a turn at {host}"):
            try:
                await self._dynamodb.update_item(
                    TableName=self._table,
                    Key=_key(host),
                    UpdateExpression="SET holder = :nobody, free_at = :then",
                    ConditionExpression="holder = :me",
                    ExpressionAttributeValues={
                        ":me": {"S": holder},
                        ":nobody": {"S": "nobody"},
                        ":then": {"N": str(time.time() + pause_seconds)},
                    },
                )
            except self._dynamodb.exceptions.ConditionalCheckFailedException:
                log.warning("turn_was_lost", host=host)


def host_of(url: str) -> str:
    """Return the host and port that one visitor at a time may use."""
    return urlsplit(url).netloc


def _key(host: str) -> dict[str, dict[str, str]]:
    return {"run_id": {"S": f"host#{host}"}, "step": {"S": "turn"}}

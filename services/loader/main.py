"""Composition root of the loader: Lambda handler and long-running worker."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import aioboto3

from contracts import Envelope, LoadComplete, LoadTable
from services.loader import credentials, ledger
from services.loader.load import load
from services.loader.postgres import Database, ReadAccess
from services.loader.settings import LoaderSettings
from services.loader.table_lock import Limits
from shared.aws import open_clients
from shared.consumer import Consumer, only
from shared.errors import InvalidRequest
from shared.inbox import SqsInbox
from shared.lake import Lake
from shared.run_log import DynamoRunLog
from shared.send import publish
from shared.worker import LambdaHandler, Service, run_worker


@asynccontextmanager
async def open_loader() -> AsyncIterator[Service]:
    """Read the environment, open clients and database and wire the use case."""
    settings = LoaderSettings()
    async with AsyncExitStack() as stack:
        clients = await stack.enter_async_context(open_clients())
        access = await _access(settings, stack)
        # One more than lanes, for the note about a failed attempt.
        opening = Database.open(
            access, connections=settings.lanes + 1, keep=settings.keep_connections
        )
        database = await stack.enter_async_context(opening)
        if settings.may_migrate:
            async with database.connection() as connection:
                await ledger.prepare(connection)

        async def announce(event: Envelope[LoadComplete]) -> None:
            await publish(clients.events, settings.bus, "quarry.loader", event)

        inbox = SqsInbox(clients.sqs, settings.queue_url, settings.dlq_url, "loader")
        consumer = Consumer(
            stage="loader",
            inbox=inbox,
            run_log=DynamoRunLog(clients.dynamodb, settings.runs_table),
            open_message=only(LoadTable),
            handle=partial(
                load,
                lake=Lake(clients.s3, settings.bucket),
                database=database,
                limits=Limits(
                    lock_seconds=settings.lock_seconds,
                    statement_seconds=settings.load_seconds,
                    idle_seconds=settings.idle_seconds,
                    may_migrate=settings.may_migrate,
                ),
                now=lambda: datetime.now(UTC),
                publish=announce,
            ),
            retry=settings.retry,
        )
        yield Service(consumer, inbox, settings)


async def _access(settings: LoaderSettings, stack: AsyncExitStack) -> ReadAccess:
    if settings.database_url is not None:
        return credentials.fixed(settings.database_url.get_secret_value())
    if settings.database_secret is None:
        raise InvalidRequest("set DATABASE_URL or QUARRY_DATABASE_SECRET")
    client = aioboto3.Session().client("secretsmanager")
    secrets = await stack.enter_async_context(client)
    return credentials.rotating(secrets, settings.database_secret, settings.tls_root_certificates)


handler = LambdaHandler(open_loader)

if __name__ == "__main__":
    run_worker(open_loader)

"""Composition root of the loader: Lambda handler and long-running worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import aioboto3

from contracts import Envelope, LoadComplete, LoadTable
from services.loader import credentials
from services.loader.databases import Databases
from services.loader.load import load
from services.loader.postgres import ReadAccess
from services.loader.settings import LoaderSettings
from services.loader.table_lock import Limits
from shared.aws import open_clients
from shared.consumer import Consumer, Done, only
from shared.errors import InvalidRequest
from shared.inbox import SqsInbox
from shared.lake import Lake
from shared.leftovers import sweep
from shared.local_mode import read_env_file
from shared.log import log
from shared.run_log import DynamoRunLog
from shared.send import publish
from shared.worker import LambdaHandler, Service, run_worker


@asynccontextmanager
async def open_loader() -> AsyncIterator[Service]:
    """Read the environment, open clients and database and wire the use case."""
    read_env_file()
    settings = LoaderSettings()
    log.info("leftovers_swept", folders=await asyncio.to_thread(sweep))
    async with AsyncExitStack() as stack:
        clients = await stack.enter_async_context(open_clients())
        access = await _access(settings, stack)
        # One more than lanes, for the note about a failed attempt.
        opening = Databases.open(
            access,
            connections=settings.lanes + 1,
            keep=settings.keep_connections,
            may_create=settings.may_migrate,
        )
        databases = await stack.enter_async_context(opening)
        await databases.named(None)

        async def announce(event: Envelope[LoadComplete]) -> None:
            await publish(clients.events, settings.bus, "quarry.loader", event)

        lake = Lake(clients.s3, settings.bucket)
        limits = Limits(
            lock_seconds=settings.lock_seconds,
            statement_seconds=settings.load_seconds,
            idle_seconds=settings.idle_seconds,
            may_migrate=settings.may_migrate,
        )

        async def handle(envelope: Envelope[LoadTable]) -> Done:
            database = await databases.named(envelope.payload.database)
            return await load(
                envelope, lake=lake, database=database, limits=limits, now=_now, publish=announce
            )

        inbox = SqsInbox(clients.sqs, settings.queue_url, settings.dlq_url, "loader")
        consumer = Consumer(
            stage="loader",
            inbox=inbox,
            run_log=DynamoRunLog(clients.dynamodb, settings.runs_table),
            open_message=only(LoadTable),
            handle=handle,
            retry=settings.retry,
        )
        yield Service(consumer, inbox, settings)


async def _access(settings: LoaderSettings, stack: AsyncExitStack) -> ReadAccess:
    if settings.database_url is not None:
        return credentials.fixed(settings.database_url.get_secret_value())
    if settings.local_mode:
        raise InvalidRequest("LOCAL_MODE=true: set DATABASE_URL in the environment or in .env")
    if settings.database_secret is None:
        raise InvalidRequest("set DATABASE_URL or QUARRY_DATABASE_SECRET")
    client = aioboto3.Session().client("secretsmanager")
    secrets = await stack.enter_async_context(client)
    return credentials.rotating(secrets, settings.database_secret, settings.tls_root_certificates)


def _now() -> datetime:
    return datetime.now(UTC)


handler = LambdaHandler(open_loader)

if __name__ == "__main__":
    run_worker(open_loader)

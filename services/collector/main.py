"""Composition root of the collector: Lambda handler and long-running worker."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import aioboto3

from contracts import CollectFolder, DatabaseSource, Envelope, FolderComplete
from services.collector.archive import Caps
from services.collector.collect import Limits, collect
from services.collector.politeness import DynamoHostLease, PoliteSource, host_of
from services.collector.settings import CollectorSettings
from services.collector.sources.browser import BrowserPortal
from services.collector.sources.database import DatabaseGatherer
from services.collector.sources.database_access import SourceAccess
from services.collector.sources.drop_books import DropBooks
from services.collector.sources.dynamodb import DynamoGatherer
from services.collector.sources.dynamodb_access import TableAccess
from services.collector.sources.http import HttpPortal
from services.collector.sources.packet_books import PacketBooks
from services.collector.sources.packet_numbers import PacketNumbers
from services.collector.sources.s3_drop import DropGatherer
from services.collector.sources.source import Source
from shared.aws import Clients, open_clients
from shared.consumer import Consumer, only
from shared.inbox import SqsInbox
from shared.lake import Lake
from shared.leftovers import sweep
from shared.local_mode import read_env_file
from shared.log import log
from shared.run_log import DynamoRunLog
from shared.send import publish as put_on_bus
from shared.worker import LambdaHandler, Service, run_worker


@asynccontextmanager
async def open_collector() -> AsyncIterator[Service]:
    """Read the environment, open the clients and wire the use case."""
    read_env_file()
    settings = CollectorSettings()
    log.info("leftovers_swept", folders=await asyncio.to_thread(sweep))
    async with AsyncExitStack() as stack:
        clients = await stack.enter_async_context(open_clients())
        lake = Lake(clients.s3, settings.bucket)

        async def publish(event: Envelope[FolderComplete]) -> None:
            await put_on_bus(clients.events, settings.bus, "quarry.collector", event)

        inbox = SqsInbox(clients.sqs, settings.queue_url, settings.dlq_url, "collector")
        caps = Caps(settings.member_bytes, settings.total_bytes, settings.members, settings.ratio)
        consumer = Consumer(
            stage="collector",
            inbox=inbox,
            run_log=DynamoRunLog(clients.dynamodb, settings.runs_table),
            open_message=only(CollectFolder),
            handle=partial(
                collect,
                lake=lake,
                sources={"portal": _portal(settings, clients)},
                gatherers={
                    "database": await _database(settings, lake, stack),
                    "dynamodb": DynamoGatherer(
                        TableAccess(aioboto3.Session(), settings.dynamodb), lake, settings.env, _now
                    ),
                    "s3_drop": DropGatherer(lake, DropBooks(lake), _now, settings.drop_bytes),
                },
                publish=publish,
                now=_now,
                limits=Limits(caps, settings.side_by_side),
            ),
            retry=settings.retry,
        )
        yield Service(consumer, inbox, settings)


def _portal(settings: CollectorSettings, clients: Clients) -> Source:
    address = (settings.portal_url, settings.user_agent)
    patience = (settings.page_seconds, settings.download_deadline_seconds)
    most = settings.download_bytes
    portal: Source = HttpPortal(*address, *patience, most)
    if settings.fetcher == "browser":
        portal = BrowserPortal(*address, *patience, most, environment=dict(os.environ))
    return PoliteSource(
        portal,
        DynamoHostLease(clients.dynamodb, settings.runs_table),
        host_of(settings.portal_url),
        settings.min_delay_seconds,
        settings.patience_seconds,
    )


async def _database(
    settings: CollectorSettings, lake: Lake, stack: AsyncExitStack
) -> DatabaseGatherer:
    session = aioboto3.Session()
    ssm = await stack.enter_async_context(session.client("ssm"))
    secrets = await stack.enter_async_context(session.client("secretsmanager"))
    urls = {dataset: url.get_secret_value() for dataset, url in settings.source_urls.items()}
    access = SourceAccess(settings.env, urls, secrets, settings.tls_root_certificates)

    def open_books(dataset: str, source: DatabaseSource) -> PacketBooks:
        return PacketBooks(dataset, lake, PacketNumbers(ssm, settings.env, dataset, source.tables))

    return DatabaseGatherer(access.connect, open_books, lake, _now)


def _now() -> datetime:
    return datetime.now(UTC)


handler = LambdaHandler(open_collector)

if __name__ == "__main__":
    run_worker(open_collector)

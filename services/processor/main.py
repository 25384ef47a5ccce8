"""Composition root of the processor: Lambda handler and long-running worker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

from contracts import Envelope, LoadTable
from contracts.datasets import dataset_named
from services.processor.inbound import by_format, open_inbound
from services.processor.process import process
from services.processor.process_packets import process_packets
from services.processor.settings import ProcessorSettings
from shared.aws import open_clients
from shared.consumer import Consumer
from shared.inbox import SqsInbox
from shared.lake import Lake
from shared.leftovers import sweep
from shared.local_mode import read_env_file
from shared.log import log
from shared.run_log import DynamoRunLog
from shared.send import Order, send_batch
from shared.worker import LambdaHandler, Service, run_worker


@asynccontextmanager
async def open_processor() -> AsyncIterator[Service]:
    """Read the environment, open the clients and wire the use case."""
    read_env_file()
    settings = ProcessorSettings()
    log.info("leftovers_swept", folders=await asyncio.to_thread(sweep))
    async with open_clients() as clients:

        async def send(loads: Sequence[Envelope[LoadTable]]) -> None:
            messages = [(_routed(load, settings.env), _order(load.payload)) for load in loads]
            await send_batch(clients.sqs, settings.next_queue_url, messages)

        inbox = SqsInbox(clients.sqs, settings.queue_url, settings.dlq_url, "processor")
        lake = Lake(clients.s3, settings.bucket)
        consumer = Consumer(
            stage="processor",
            inbox=inbox,
            run_log=DynamoRunLog(clients.dynamodb, settings.runs_table),
            open_message=open_inbound,
            handle=by_format(
                partial(process, lake=lake, send=send, now=_now, threads=settings.threads),
                partial(process_packets, lake=lake, send=send, now=_now),
            ),
            retry=settings.retry,
        )
        yield Service(consumer, inbox, settings)


def _routed(load: Envelope[LoadTable], env: str) -> Envelope[LoadTable]:
    """Name the dataset's own database, if it has one: only here is it known which of them."""
    database = dataset_named(load.payload.dataset).database_in(env)
    if database is None:
        return load
    payload = load.payload.model_copy(update={"database": database})
    return load.model_copy(update={"payload": payload})


def _now() -> datetime:
    return datetime.now(UTC)


def _order(load: LoadTable) -> Order:
    """One group per table: its loads stay in order, other tables are loaded beside it."""
    return Order(group=f"{load.table_schema}.{load.table}", deduplication_id=str(load.load_id))


handler = LambdaHandler(open_processor)

if __name__ == "__main__":
    run_worker(open_processor)

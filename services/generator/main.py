"""Composition root of the generator: Lambda handlers of queue and REST, long-running worker."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

from contracts import CollectFolder, Envelope, GenerateRequest, open_request
from services.generator.api import Api, ApiHandler
from services.generator.generate import generate
from services.generator.settings import GeneratorSettings
from shared.aws import open_clients
from shared.consumer import Consumer
from shared.inbox import SqsInbox
from shared.local_mode import read_env_file
from shared.run_log import DynamoRunLog
from shared.send import send_batch
from shared.worker import LambdaHandler, Service, run_worker


@asynccontextmanager
async def open_generator() -> AsyncIterator[Service]:
    """Read the environment, open the clients and wire the use case."""
    read_env_file()
    settings = GeneratorSettings()
    async with open_clients() as clients:

        async def send(commands: Sequence[Envelope[CollectFolder]]) -> None:
            messages = [(command, None) for command in commands]
            await send_batch(clients.sqs, settings.next_queue_url, messages)

        inbox = SqsInbox(clients.sqs, settings.queue_url, settings.dlq_url, "generator")
        consumer = Consumer(
            stage="generator",
            inbox=inbox,
            run_log=DynamoRunLog(clients.dynamodb, settings.runs_table),
            open_message=partial(open_request, payload_type=GenerateRequest),
            handle=partial(
                generate,
                send=send,
                now=lambda: datetime.now(UTC),
                max_periods=settings.max_periods,
            ),
            retry=settings.retry,
        )
        yield Service(consumer, inbox, settings)


@asynccontextmanager
async def open_api() -> AsyncIterator[Api]:
    """Read the environment, open the clients and wire the REST entry."""
    settings = GeneratorSettings()
    async with open_clients() as clients:

        async def send(request: Envelope[GenerateRequest]) -> None:
            await send_batch(clients.sqs, settings.queue_url, [(request, None)])

        yield Api(
            send=send,
            steps=DynamoRunLog(clients.dynamodb, settings.runs_table).steps,
            now=lambda: datetime.now(UTC),
            max_periods=settings.max_periods,
        )


handler = LambdaHandler(open_generator)
api_handler = ApiHandler(open_api)

if __name__ == "__main__":
    run_worker(open_generator)

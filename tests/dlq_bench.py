"""A workbench on an emulator, for several test folders; and what lies in its queues."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contracts import CollectFolder, Envelope, GenerateRequest, LoadTable, open_request
from infra.names import SERVICES, Service
from ops.access import open_access
from ops.dlq.queues import SqsDeadLetters
from ops.dlq.workbench import Workbench, open_workbench
from ops.stack.services import aws_variables
from shared.aws import open_clients
from shared.consumer import Consumer, Done, OpenMessage, RetryPolicy, only
from shared.inbox import Delivery, SqsInbox
from shared.run_log import DynamoRunLog
from tests.emulator import local_session
from tests.parked import NAMES


@contextmanager
def pointed_at(endpoint: str, **more: str) -> Iterator[None]:
    """Let AWS clients of this process reach `endpoint` and nothing else."""
    before = dict(os.environ)
    os.environ.update({**aws_variables(endpoint), **more})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@asynccontextmanager
async def bench_at(endpoint: str, folder: Path, **more: str) -> AsyncIterator[Workbench]:
    """Open a workbench that does not wait for long polls: an emulator has one server."""
    with pointed_at(endpoint, **more):
        async with open_access("local") as access:
            with open_workbench(access, folder) as bench:
                queues = SqsDeadLetters(access.clients.sqs, access.names, poll_seconds=0)
                yield replace(bench, queues=queues, lease_seconds=2)


@dataclass(frozen=True)
class Queues:
    """The emulator's queues through a synchronous client."""

    sqs: Any

    @classmethod
    def at(cls, endpoint: str) -> "Queues":
        return cls(local_session().client("sqs", endpoint_url=endpoint))

    def url(self, name: str) -> str:
        return str(self.sqs.get_queue_url(QueueName=name)["QueueUrl"])

    def empty(self) -> None:
        for service in SERVICES:
            for name in (NAMES.queue(service), NAMES.dead_letter_queue(service)):
                self.sqs.purge_queue(QueueUrl=self.url(name))

    def depth(self, name: str) -> int:
        """Count every message, in flight or not."""
        found = self.sqs.get_queue_attributes(QueueUrl=self.url(name), AttributeNames=["All"])
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return sum(int(found["Attributes"][one]) for one in names)

    def parked(self) -> int:
        return sum(self.depth(NAMES.dead_letter_queue(service)) for service in SERVICES)

    def drain(self, service: Service) -> list[dict[str, Any]]:
        """Take everything out of a service's queue, in the order of delivery."""
        url = self.url(NAMES.queue(service))
        taken: list[dict[str, Any]] = []
        while True:
            batch = self.sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=0,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            if not batch:
                return taken
            for message in batch:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            taken += batch


async def work_through(queues: Queues, endpoint: str, *services: Service) -> list[str]:
    """Let workers treat everything in these services' queues; returns what they worked on."""
    worked: list[str] = []

    async def handle(envelope: Envelope[Any]) -> Done:
        worked.append(f"{envelope.type} {envelope.payload.part}")
        return Done()

    with pointed_at(endpoint):
        async with open_clients() as clients:
            for service in services:
                consumer = Consumer(
                    stage=service,
                    inbox=SqsInbox(clients.sqs, queues.url(NAMES.queue(service)), "", service),
                    run_log=DynamoRunLog(clients.dynamodb, NAMES.runs_table),
                    open_message=_opener(service),
                    handle=handle,
                    retry=RetryPolicy(visibility_seconds=30, max_receive_count=5, base_seconds=1),
                )
                for message in queues.drain(service):
                    await consumer.consume(as_delivered(message))
    return worked


def as_delivered(message: dict[str, Any]) -> Delivery:
    """Return what a worker would have received."""
    return Delivery(
        message_id=message["MessageId"],
        receipt="",
        body=message["Body"],
        attempt=1,
        group=message["Attributes"].get("MessageGroupId"),
        attributes={
            name: value["StringValue"]
            for name, value in message.get("MessageAttributes", {}).items()
        },
    )


def _opener(service: Service) -> OpenMessage[Any]:
    if service == "generator":
        return lambda body, *, message_id: open_request(
            body, GenerateRequest, message_id=message_id
        )
    return only(CollectFolder if service == "collector" else LoadTable)

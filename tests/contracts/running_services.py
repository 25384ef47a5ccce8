"""The four services as Lambda runs them, against the emulator, a database and the stand-in."""

import asyncio
import io
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from contracts import Period
from infra.names import LOCAL_REGION, SERVICES, Names, Service, is_fifo
from ops.portal.catalogue import Catalogue
from ops.portal.serve import running_portal
from ops.stack.services import service_programs
from services.collector.main import open_collector
from services.generator.main import open_generator
from services.loader.main import open_loader
from services.processor.main import open_processor
from shared.worker import LambdaHandler
from tests.call_report_files import A_BANK, PANEL_NAME, QUARTER, panel, schedule, schedule_name
from tests.emulator import local_session

NAMES = Names("local")
_OPEN = {
    "generator": open_generator,
    "collector": open_collector,
    "processor": open_processor,
    "loader": open_loader,
}
_WAIT_SECONDS = 10


class PlentyOfTime:
    """Lambda's context as the worker uses it."""

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


@dataclass
class RunningServices:
    """Queues by service, and a way to let a service treat one message of its own queue."""

    endpoint: str
    database_url: str
    portal_url: str
    handlers: dict[Service, LambdaHandler] = field(default_factory=dict)

    def client(self, name: str) -> Any:
        return local_session().client(name, endpoint_url=self.endpoint)

    def queue_url(self, service: Service, *, parked: bool = False) -> str:
        name = NAMES.dead_letter_queue(service) if parked else NAMES.queue(service)
        return str(self.client("sqs").get_queue_url(QueueName=name)["QueueUrl"])

    def send(self, service: Service, body: str) -> None:
        message: dict[str, Any] = {"QueueUrl": self.queue_url(service), "MessageBody": body}
        if is_fifo(service):
            message |= {"MessageGroupId": uuid4().hex, "MessageDeduplicationId": uuid4().hex}
        self.client("sqs").send_message(**message)

    def receive(
        self, queue_url: str, limit: int = 1, wait_seconds: float = _WAIT_SECONDS
    ) -> list[Any]:
        """Take messages off a queue for good, as boto gives them."""
        sqs = self.client("sqs")
        found: list[Any] = []
        deadline = time.monotonic() + wait_seconds
        while len(found) < limit:
            answer = sqs.receive_message(
                QueueUrl=queue_url,
                MaxNumberOfMessages=1,
                WaitTimeSeconds=min(1, int(wait_seconds)),
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
            if not answer.get("Messages") and time.monotonic() > deadline:
                break
            for message in answer.get("Messages", []):
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
                found.append(message)
        return found

    def treat(self, service: Service, body: str, *, attempt: int = 1) -> list[Any]:
        """Hand `body` to the service as the `attempt`-th delivery; return what it gives back."""
        event = {"Records": [self.record(service, body, attempt=attempt)]}
        failures: list[Any] = self.handlers[service](event, PlentyOfTime())["batchItemFailures"]
        return failures

    def record(self, service: Service, body: str, *, attempt: int = 1) -> dict[str, Any]:
        """Return a record of an SQS event in AWS's shape."""
        attributes = {"ApproximateReceiveCount": str(attempt), "SentTimestamp": "0"}
        if is_fifo(service):
            attributes |= {"MessageGroupId": uuid4().hex}
        return {
            "messageId": uuid4().hex,
            "receiptHandle": uuid4().hex,
            "body": body,
            "attributes": attributes,
            "messageAttributes": {},
            "md5OfBody": "",
            "eventSource": "aws:sqs",
            "eventSourceARN": NAMES.arn("sqs", NAMES.queue(service)),
            "awsRegion": LOCAL_REGION,
        }

    def drain(self, service: Service) -> None:
        """Take away what others left in the service's queue."""
        self.receive(self.queue_url(service), limit=1000, wait_seconds=0)

    def parked(self, service: Service) -> list[tuple[str, dict[str, str]]]:
        """Empty the service's DLQ; return bodies with their attributes."""
        messages = self.receive(self.queue_url(service, parked=True), limit=1000, wait_seconds=0)
        return [
            (
                message["Body"],
                {
                    name: value["StringValue"]
                    for name, value in message.get("MessageAttributes", {}).items()
                },
            )
            for message in messages
        ]


@contextmanager
def running_services(
    endpoint: str, database_server: str, folder: Path
) -> Iterator[RunningServices]:
    """Open every service with the environment the local stack gives it."""
    write_small_quarter(folder)
    database_url = _new_database(database_server)
    portal = running_portal(Catalogue(folder, None, Period(2023, 2)))
    with pytest.MonkeyPatch.context() as environment, portal as site:
        services = RunningServices(endpoint, database_url, site.url)
        programs = {p.part: p for p in service_programs(endpoint, database_url, site.url)}
        for service in SERVICES:
            for name, value in programs[service].variables.items():
                environment.setenv(name, value)
            environment.setenv("QUARRY_FETCHER", "http")
            environment.setenv("QUARRY_RETRY_BASE_SECONDS", "0.01")
            services.handlers[service] = LambdaHandler(_OPEN[service])
            # Its first message opens a service, and the environment is its own only now.
            services.treat(service, "opened by this")
            assert len(services.parked(service)) == 1
        yield services
        for handler in services.handlers.values():
            handler.close()


def write_small_quarter(folder: Path) -> None:
    """Write a zip of two files, as the site names and shapes them."""
    files = {
        PANEL_NAME: panel({37: A_BANK}),
        schedule_name("RC"): schedule(["RCON2170", "RCFD2170"], [["37", "1000", ""]]),
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    name = f"FFIEC CDR Call Bulk All Schedules {QUARTER.end:%m%d%Y}.zip"
    (folder / name).write_bytes(packed.getvalue())


def _new_database(server: str) -> str:
    name = f"contracts_{uuid4().hex}"

    async def create() -> None:
        admin = await asyncpg.connect(server)
        await admin.execute(f'CREATE DATABASE "{name}"')
        await admin.close()

    asyncio.run(create())
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))

"""Lambda's side of a queue: takes messages off, invokes the function, deletes what it finished."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

from infra.names import Names, Service
from infra.settings import settings_for
from infra.variables import service_variables
from ops.stack.services import aws_variables
from tests.infra.emulator import Emulator
from tests.infra.runtime_api import LambdaProcess, running_handler

NAMES = Names("local")
_RECEIVE_SECONDS = 20


@dataclass(frozen=True)
class Message:
    """A body, and the group that orders it where the queue is FIFO."""

    body: str
    group: str | None = None


@dataclass(frozen=True)
class Poller:
    """One event source mapping with `ReportBatchItemFailures`."""

    process: LambdaProcess
    emulator: Emulator
    queue: str

    def deliver(self, messages: Sequence[Message], *, seconds_left: float = 60) -> list[int]:
        """Hand a batch to the function; return the positions of those that it gave back."""
        url = self.emulator.queue_url(self.queue)
        self.emulator.client("sqs").purge_queue(QueueUrl=url)
        self._send(url, messages)
        received = self._receive(url, len(messages))
        bodies = [message.body for message in messages]
        received.sort(key=lambda message: bodies.index(message["Body"]))
        event = {"Records": [self._record(message) for message in received]}
        answer = self.process.invoke(event, seconds_left=seconds_left)
        failed = {item["itemIdentifier"] for item in answer["batchItemFailures"]}
        for message in received:
            if message["MessageId"] not in failed:
                self.emulator.client("sqs").delete_message(
                    QueueUrl=url, ReceiptHandle=message["ReceiptHandle"]
                )
        return [i for i, message in enumerate(received) if message["MessageId"] in failed]

    def delivered_again(self, messages: Sequence[Message], count: int) -> list[int]:
        """Return the positions of the `count` messages that come next, as they come.

        Far sooner than the queue's own visibility timeout, or not at all.
        """
        bodies = [message.body for message in messages]
        again = self._receive(self.emulator.queue_url(self.queue), count)
        return [bodies.index(message["Body"]) for message in again]

    def _send(self, url: str, messages: Sequence[Message]) -> None:
        entries: list[dict[str, str]] = []
        for i, message in enumerate(messages):
            entry = {"Id": str(i), "MessageBody": message.body}
            if message.group is not None:
                entry |= {
                    "MessageGroupId": message.group,
                    "MessageDeduplicationId": uuid4().hex,
                }
            entries.append(entry)
        sent = self.emulator.client("sqs").send_message_batch(QueueUrl=url, Entries=entries)
        assert len(sent["Successful"]) == len(messages)

    def _receive(self, url: str, count: int) -> list[dict[str, Any]]:
        received: list[dict[str, Any]] = []
        deadline = monotonic() + _RECEIVE_SECONDS
        while len(received) < count:
            assert monotonic() < deadline, f"{len(received)} of {count} messages arrived"
            answer = self.emulator.client("sqs").receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=2,
                MessageSystemAttributeNames=["All"],
            )
            received += answer.get("Messages", [])
        return received

    def _record(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Shape a message as https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html does."""
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "messageAttributes": {},
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": NAMES.arn("sqs", self.queue),
            "awsRegion": NAMES.region,
        }


@contextmanager
def polled(
    service: Service, emulator: Emulator, folder: Path, own: Mapping[str, str] | None = None
) -> Iterator[Poller]:
    """Run a service's real Lambda entry behind its queue; `own` variables go before AWS's."""
    variables = service_variables(service, NAMES, settings_for("local"))
    variables |= {**aws_variables(emulator.url), **(own or {})}
    with running_handler(f"services.{service}.main.handler", variables, folder) as process:
        yield Poller(process, emulator, NAMES.queue(service))

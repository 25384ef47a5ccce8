"""The services' real entries under Lambda's own runtime client, with real messages."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from contracts import (
    MANIFEST_NAME,
    CollectFolder,
    Envelope,
    GenerateRequest,
    Manifest,
    Period,
    raw_prefix,
)
from infra.names import Names, Service
from infra.settings import settings_for
from infra.variables import service_variables
from ops.stack.services import aws_variables
from tests.infra.emulator import Emulator
from tests.infra.runtime_api import LambdaProcess, running_handler

NAMES = Names("local")
NOW = datetime(2026, 11, 21, tzinfo=UTC)
YEARS = range(2010, 2020)
# Nothing listens there: whatever has to be fetched fails for the moment.
_NO_PORTAL = {
    "QUARRY_PORTAL_URL": "http://127.0.0.1:9/",
    "QUARRY_FETCHER": "http",
    "QUARRY_MIN_DELAY_SECONDS": "0",
}


@pytest.fixture(scope="module")
def emulator_of_local(emulator_url: str) -> Emulator:
    return Emulator(emulator_url)


def variables(service: Service, emulator: Emulator) -> dict[str, str]:
    return service_variables(service, NAMES, settings_for("local")) | aws_variables(emulator.url)


@pytest.fixture(scope="module")
def generator(
    emulator_of_local: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LambdaProcess]:
    with running_handler(
        "services.generator.main.handler",
        variables("generator", emulator_of_local),
        tmp_path_factory.mktemp("generator"),
    ) as process:
        yield process


@pytest.fixture(scope="module")
def collector_tmp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("collector")


@pytest.fixture(scope="module")
def collector(emulator_of_local: Emulator, collector_tmp: Path) -> Iterator[LambdaProcess]:
    with running_handler(
        "services.collector.main.handler",
        variables("collector", emulator_of_local) | _NO_PORTAL,
        collector_tmp,
    ) as process:
        yield process


def event_of(emulator: Emulator, queue: str, bodies: Sequence[str]) -> dict[str, Any]:
    """Send messages and take them off the queue again, as Lambda's poller does: AWS's SQS event."""
    sqs, url = emulator.client("sqs"), emulator.queue_url(queue)
    sqs.purge_queue(QueueUrl=url)
    entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies)]
    sent = sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]
    order = {item["MessageId"]: int(item["Id"]) for item in sent}
    received: list[dict[str, Any]] = []
    while len(received) < len(bodies):
        received += sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=2,
            MessageSystemAttributeNames=["All"],
        )["Messages"]
    records = [
        {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "messageAttributes": {},
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": NAMES.arn("sqs", queue),
            "awsRegion": NAMES.region,
        }
        for message in sorted(received, key=lambda message: order[message["MessageId"]])
    ]
    return {"Records": records}


def failed(event: dict[str, Any], answer: dict[str, Any]) -> list[int]:
    """Return the positions of the messages that the handler gave back."""
    position = {record["messageId"]: i for i, record in enumerate(event["Records"])}
    return [position[item["itemIdentifier"]] for item in answer["batchItemFailures"]]


def requests(count: int) -> list[str]:
    payload = GenerateRequest(
        dataset="call_reports", start_year=2013, start_quarter=1, end_year=2013, end_quarter=1
    )
    return [
        Envelope[GenerateRequest]
        .wrap(payload, run_id=f"batch-{number}", trace=None, sent_at=NOW)
        .to_json()
        for number in range(count)
    ]


def commands(run_id: str) -> list[str]:
    return [
        Envelope[CollectFolder]
        .wrap(
            CollectFolder(dataset="call_reports", period=Period(year, 1)),
            run_id=run_id,
            trace=None,
            sent_at=NOW,
        )
        .to_json()
        for year in YEARS
    ]


def already_collected(emulator: Emulator, run_id: str, *, but: int) -> None:
    """Leave a manifest for every quarter of the run except the one at position `but`."""
    for position, year in enumerate(YEARS):
        if position == but:
            continue
        period = Period(year, 1)
        manifest = Manifest(
            dataset="call_reports",
            period=period,
            run_id=run_id,
            source_url="https://source.example",
            collected_at=NOW,
            archive_sha256=hashlib.sha256(b"zip").hexdigest(),
            files=(),
        )
        emulator.client("s3").put_object(
            Bucket=NAMES.bucket,
            Key=raw_prefix("call_reports", str(period), run_id) + MANIFEST_NAME,
            Body=manifest.model_dump_json().encode(),
        )


def test_a_batch_of_ten_that_succeeds_gives_nothing_back(
    generator: LambdaProcess, emulator_of_local: Emulator
) -> None:
    event = event_of(emulator_of_local, NAMES.queue("generator"), requests(10))

    assert failed(event, generator.invoke(event)) == []


def test_near_the_deadline_unfinished_messages_are_given_back(
    generator: LambdaProcess, emulator_of_local: Emulator
) -> None:
    event = event_of(emulator_of_local, NAMES.queue("generator"), requests(10))

    assert failed(event, generator.invoke(event, seconds_left=4)) == list(range(10))


def test_a_message_nobody_can_read_is_parked_and_not_given_back(
    generator: LambdaProcess, emulator_of_local: Emulator
) -> None:
    event = event_of(emulator_of_local, NAMES.queue("generator"), ["no json", *requests(1)])

    assert failed(event, generator.invoke(event)) == []
    (parked,) = emulator_of_local.receive(NAMES.dead_letter_queue("generator"))
    assert parked["Body"] == "no json"


@pytest.mark.parametrize("failing", range(10))
def test_only_the_message_that_failed_is_given_back(
    failing: int, collector: LambdaProcess, emulator_of_local: Emulator
) -> None:
    run_id = f"index-{failing}"
    already_collected(emulator_of_local, run_id, but=failing)
    event = event_of(emulator_of_local, NAMES.queue("collector"), commands(run_id))

    assert failed(event, collector.invoke(event)) == [failing]


def test_warm_invocations_leave_no_file_process_or_connection_behind(
    collector: LambdaProcess, collector_tmp: Path, emulator_of_local: Emulator
) -> None:
    def invoke(number: int) -> None:
        run_id = f"warm-{number}"
        already_collected(emulator_of_local, run_id, but=0)
        event = event_of(emulator_of_local, NAMES.queue("collector"), commands(run_id))
        assert failed(event, collector.invoke(event)) == [0]

    invoke(0)
    files, descriptors = sorted(collector_tmp.rglob("*")), collector.process.num_fds()
    for number in range(1, 4):
        invoke(number)

    assert sorted(collector_tmp.rglob("*")) == files
    assert collector.process.children(recursive=True) == []
    assert collector.process.num_fds() <= descriptors

"""The processor wired as `main.py` does, on the emulator's bucket and queues."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pytest

from contracts import Envelope, FolderComplete, LoadTable, open_envelope
from infra.names import Names
from services.processor.main import open_processor
from services.processor.type_registry import agree, learnt_types
from shared.aws import open_clients
from shared.inbox import Delivery
from shared.lake import Lake
from tests.call_report_files import collect, schedule, schedule_name

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

RCB = {
    schedule_name("RCB", f"({part} of 2)"): schedule([code], [["37", "1"], ["242", "2"]])
    for part, code in ((1, "RCON0211"), (2, "RCON1289"))
}

pytestmark = pytest.mark.usefixtures("emulator")


@pytest.fixture
def loader_queue(monkeypatch: pytest.MonkeyPatch) -> str:
    """A FIFO queue of this test's own, named to the processor by its environment."""
    sqs: SQSClient = boto3.client("sqs")
    urls = [sqs.create_queue(QueueName=f"test-{uuid4().hex}")["QueueUrl"] for _ in range(2)]
    fifo = sqs.create_queue(QueueName=f"test-{uuid4().hex}.fifo", Attributes={"FifoQueue": "true"})[
        "QueueUrl"
    ]
    names = Names("local")
    environment = {
        "ENV": "local",
        "BUCKET": names.bucket,
        "BUS": names.bus,
        "RUNS_TABLE": names.runs_table,
        "QUEUE_URL": urls[0],
        "DLQ_URL": urls[1],
        "NEXT_QUEUE_URL": fifo,
    }
    for name, value in environment.items():
        monkeypatch.setenv(f"QUARRY_{name}", value)
    return fifo


@pytest.fixture
async def lake() -> AsyncIterator[Lake]:
    async with open_clients() as clients:
        yield Lake(clients.s3, Names("local").bucket)


async def consume(event: Envelope[FolderComplete]) -> None:
    body = event.to_json()
    async with open_processor() as service:
        await service.consumer.consume(Delivery(uuid4().hex, "receipt", body, attempt=1))


def received(queue_url: str) -> list[dict[str, Any]]:
    answer = boto3.client("sqs").receive_message(
        QueueUrl=queue_url,
        MaxNumberOfMessages=10,
        WaitTimeSeconds=2,
        MessageSystemAttributeNames=["MessageGroupId", "MessageDeduplicationId"],
    )
    return [dict(message) for message in answer.get("Messages", [])]


async def test_loads_are_ordered_in_one_group_per_table(lake: Lake, loader_queue: str) -> None:
    event = await collect(lake, RCB, run_id=uuid4().hex)
    await consume(event)
    messages = await asyncio.to_thread(received, loader_queue)
    loads = [open_envelope(message["Body"], LoadTable).payload for message in messages]
    assert [message["Attributes"]["MessageGroupId"] for message in messages] == [
        "call_reports.rcb",
        "call_reports.dictionary",
    ]
    assert [message["Attributes"]["MessageDeduplicationId"] for message in messages] == [
        str(load.load_id) for load in loads
    ]
    for load in loads:
        assert len(await lake.get(load.object.key)) == load.object.bytes


async def test_a_repeated_event_orders_nothing_twice(lake: Lake, loader_queue: str) -> None:
    event = await collect(lake, RCB, run_id=uuid4().hex)
    await consume(event)
    await consume(event)
    messages = await asyncio.to_thread(received, loader_queue)
    assert len(messages) == 2


async def test_the_runs_log_tells_what_to_expect(lake: Lake, loader_queue: str) -> None:
    del loader_queue  # only its environment is needed
    run_id = uuid4().hex
    await consume(await collect(lake, RCB, run_id=run_id))
    item = boto3.client("dynamodb").get_item(
        TableName=Names("local").runs_table,
        Key={"run_id": {"S": run_id}, "step": {"S": "processor#2013Q1"}},
    )["Item"]
    step = json.loads(item["body"]["S"])
    assert step["status"] == "done"
    assert step["expects"] == ["2013Q1/call_reports.rcb", "2013Q1/call_reports.dictionary"]
    assert step["counts"]["rows"] == 4


async def test_a_write_goes_only_over_the_version_that_was_read(lake: Lake) -> None:
    key = f"registry/{uuid4().hex}.json"
    assert await lake.get_with_etag(key) is None
    assert await lake.put_if(key, b"first", None)
    assert not await lake.put_if(key, b"second", None)
    found = await lake.get_with_etag(key)
    assert found is not None
    assert await lake.put_if(key, b"third", found[1])
    assert not await lake.put_if(key, b"fourth", found[1])
    assert await lake.get(key) == b"third"


async def test_processors_at_once_agree_on_one_registry(lake: Lake) -> None:
    key = f"registry/{uuid4().hex}.json"
    codes = [f"RCON{number:04}" for number in range(8)]
    await asyncio.gather(*(agree(lake, key, {code: "int"}) for code in codes))
    assert await learnt_types(lake, key) == dict.fromkeys(codes, "int")

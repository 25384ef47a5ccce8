"""DynamoDB tables of the emulator, scanned by the real client."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aioboto3
import boto3
import pytest

from contracts import Dataset, DynamoSource, Manifest
from contracts.datasets.invoices import DATASET
from services.collector.sources.dynamodb import DynamoGatherer
from services.collector.sources.dynamodb_access import ScanSettings, TableAccess
from services.collector.sources.source import Order
from shared.errors import PermanentError, RowsUnaccounted, SourceBusy
from tests.fakes import FakeLake

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
OTHER_ACCOUNT = "111122223333"


@dataclass
class Table:
    """A table with a hash key of bytes and a range key, for one test."""

    client: Any
    name: str

    def put(self, count: int, *, size: int = 40, start: int = 0) -> None:
        for n in range(start, start + count):
            key = {"id": {"B": f"{n}".encode()}, "sort": {"N": str(n)}}
            self.client.put_item(TableName=self.name, Item={**key, "text": {"S": "x" * size}})


def make_table(endpoint: str, account: str = "test") -> Table:
    client = boto3.Session(account, account, region_name="us-east-1").client(
        "dynamodb", endpoint_url=endpoint
    )
    name = f"items-{uuid4().hex}"
    client.create_table(
        TableName=name,
        KeySchema=[
            {"AttributeName": "id", "KeyType": "HASH"},
            {"AttributeName": "sort", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "id", "AttributeType": "B"},
            {"AttributeName": "sort", "AttributeType": "N"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    return Table(client, name)


@pytest.fixture
def table(emulator: str) -> Iterator[Table]:
    made = make_table(emulator)
    yield made
    made.client.delete_table(TableName=made.name)


@dataclass
class CountedScans:
    """Real clients that remember what was asked, and fail or change answers as told."""

    access: TableAccess
    fail_after: int | None = None
    lose_one: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)

    def settings_of(self, dataset: str) -> ScanSettings:
        return self.access.settings_of(dataset)

    @asynccontextmanager
    async def client(self, dataset: str, run_id: str) -> AsyncIterator[Any]:
        async with self.access.client(dataset, run_id) as client:
            yield _Watched(client, self)


@dataclass
class _Watched:
    real: Any
    scans: CountedScans

    async def describe_table(self, **request: Any) -> Any:
        return await self.real.describe_table(**request)

    async def scan(self, **request: Any) -> Any:
        if self.scans.fail_after is not None and len(self.scans.asked) >= self.scans.fail_after:
            raise ConnectionResetError("killed")
        self.scans.asked.append(request)
        answer = await self.real.scan(**request)
        if self.scans.lose_one:
            answer["Items"].pop()
        return answer


def order_of(table: Table, *, segments: int = 4, max_items: int | None = None) -> Order:
    source = DynamoSource(tables=("things",), table_name=table.name, segments=segments)
    dataset: Dataset = DATASET.model_copy(update={"source": source})
    return Order(dataset, "run-1", "raw/invoices/all/run-1/", max_items)


def scans_of(**settings: ScanSettings) -> CountedScans:
    return CountedScans(TableAccess(aioboto3.Session(), settings))


def gatherer(lake: FakeLake, scans: CountedScans, part_bytes: int = 2_000) -> DynamoGatherer:
    return DynamoGatherer(scans, lake, "local", lambda: NOW, part_bytes)


def keys_in(lake: FakeLake, manifest: Manifest) -> Counter[str]:
    return Counter(
        json.loads(line)["Item"]["sort"]["N"]
        for file in manifest.files
        for line in lake.objects[file.key].splitlines()
    )


async def test_every_item_comes_once_from_four_segments_read_consistently(table: Table) -> None:
    table.put(60)
    lake, scans = FakeLake(), scans_of()
    manifest = await gatherer(lake, scans).gather(order_of(table))
    assert keys_in(lake, manifest) == Counter(str(n) for n in range(60))
    assert sum(file.rows or 0 for file in manifest.files) == 60
    assert {request["Segment"] for request in scans.asked} == {0, 1, 2, 3}
    assert all(request["TotalSegments"] == 4 for request in scans.asked)
    assert all(request["ConsistentRead"] for request in scans.asked)


async def test_pages_follow_each_other_and_files_stay_small(table: Table) -> None:
    table.put(12, size=300_000)
    lake, scans = FakeLake(), scans_of()
    order = order_of(table, segments=1)
    manifest = await gatherer(lake, scans, part_bytes=800_000).gather(order)
    assert keys_in(lake, manifest) == Counter(str(n) for n in range(12))
    assert len(scans.asked) >= 4
    assert len(manifest.files) >= 3
    assert max(file.bytes for file in manifest.files) < 1_200_000


async def test_a_segment_goes_on_from_its_last_key_after_a_crash(table: Table) -> None:
    table.put(12, size=300_000)
    lake, order = FakeLake(), order_of(table, segments=2)
    dying = scans_of()
    dying.fail_after = 3
    with pytest.raises(ConnectionResetError):
        await gatherer(lake, dying, part_bytes=100_000).gather(order)
    before = dict(lake.objects)
    assert before

    scans = scans_of()
    manifest = await gatherer(lake, scans, part_bytes=100_000).gather(order)

    assert keys_in(lake, manifest) == Counter(str(n) for n in range(12))
    assert before.items() <= lake.objects.items(), "what was stored is not scanned again"
    first = {request["Segment"]: request for request in reversed(scans.asked)}
    resumed = {key.split(".")[1].split("-")[0] for key in before}
    assert all("ExclusiveStartKey" in first[int(segment) - 1] for segment in resumed)


async def test_a_run_repeated_after_its_last_file_stores_nothing_more(table: Table) -> None:
    table.put(20)
    lake, order = FakeLake(), order_of(table)
    once = await gatherer(lake, scans_of()).gather(order)
    before = dict(lake.objects)
    again = await gatherer(lake, scans_of()).gather(order)
    assert (again.files, lake.objects) == (once.files, before)


async def test_an_empty_table_is_an_empty_file_for_each_segment(table: Table) -> None:
    lake = FakeLake()
    manifest = await gatherer(lake, scans_of()).gather(order_of(table, segments=2))
    assert [(file.name, file.bytes, file.rows) for file in manifest.files] == [
        ("things.1-of-2.000001.jsonl", 0, 0),
        ("things.2-of-2.000001.jsonl", 0, 0),
    ]


async def test_no_more_items_are_taken_than_asked_for(table: Table) -> None:
    table.put(60)
    lake = FakeLake()
    manifest = await gatherer(lake, scans_of()).gather(order_of(table, max_items=7))
    assert keys_in(lake, manifest).total() == 7
    assert manifest.warnings == ("things: stopped after 7 items, as asked",)


async def test_the_number_of_segments_and_the_name_are_settings(table: Table) -> None:
    table.put(3)
    settings = ScanSettings(segments=2, table_name=table.name)
    scans = scans_of(invoices=settings)
    order = order_of(Table(table.client, "elsewhere"), segments=9)
    await gatherer(FakeLake(), scans).gather(order)
    assert {(one["TableName"], one["TotalSegments"]) for one in scans.asked} == {(table.name, 2)}


async def test_tables_of_another_account_are_read_by_its_role(emulator: str) -> None:
    theirs = make_table(emulator, OTHER_ACCOUNT)
    theirs.put(5)
    order, lake = order_of(theirs, segments=1), FakeLake()
    with pytest.raises(PermanentError, match="looking at items-"):
        await gatherer(lake, scans_of()).gather(order)
    role = ScanSettings(
        role_arn=f"arn:aws:iam::{OTHER_ACCOUNT}:role/reads-items", external_id="quarry"
    )
    manifest = await gatherer(lake, scans_of(invoices=role)).gather(order)
    assert keys_in(lake, manifest).total() == 5
    theirs.client.delete_table(TableName=theirs.name)


async def test_items_that_dynamodb_counts_and_does_not_send_stop_the_run(table: Table) -> None:
    table.put(3)
    scans = scans_of()
    scans.lose_one = True
    with pytest.raises(RowsUnaccounted, match="DynamoDB scanned 3 items, 2 came"):
        await gatherer(FakeLake(), scans).gather(order_of(table, segments=1))


async def test_two_collectors_of_one_run_never_write_over_each_other(table: Table) -> None:
    table.put(3)

    class Rival(FakeLake):
        """A lake where another collector is always a moment quicker."""

        async def put_if(self, key: str, data: bytes, etag: str | None) -> bool:
            await self.put(key, data)
            return await super().put_if(key, data, etag)

    with pytest.raises(SourceBusy, match="was written meanwhile"):
        await gatherer(Rival(), scans_of()).gather(order_of(table, segments=1))

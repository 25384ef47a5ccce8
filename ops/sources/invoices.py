"""The invoices' DynamoDB tables on the local stack: created, filled, and changed on request."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

from contracts.dataset import DynamoSource
from contracts.datasets import dataset_named
from ops.errors import CommandFailed
from ops.sources import invoices_items as items
from ops.sources.invoices_items import Item
from ops.sources.totesys import data_folder
from ops.target import Target
from shared.together import together

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient

DATASET = "invoices"
# Partition key and, where there is one, sort key with their DynamoDB types.
KEYS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "documents": (("document_id", "S"),),
    "metadata": (("document_id", "S"), ("version", "N")),
    "templates": (("template_id", "S"),),
    "audit": (("document_id", "S"), ("event_id", "S")),
}
# DynamoDB's own limit.
_BATCH = 25
_AT_ONCE = 4


@dataclass(frozen=True)
class Filled:
    """How many items the demo source holds now, by table."""

    created: bool
    published: int
    items: dict[str, int]


def table_name(table: str) -> str:
    """Return what a table is called in the local DynamoDB."""
    source = dataset_named(DATASET).source
    if not isinstance(source, DynamoSource):
        raise CommandFailed(f"{DATASET} does not come from DynamoDB")
    return source.name_in("local", table)


async def fill(target: Target, documents: int) -> Filled:
    """Create and fill the tables unless they are there."""
    folder = data_folder() / "dynamodb-json"
    published = list(items.published_metadata(folder))
    contents: dict[str, Iterable[Item]] = {
        "documents": items.documents(documents),
        "metadata": chain(items.metadata(documents), published),
        "templates": items.templates(),
        "audit": items.audit(documents),
    }
    async with target.clients() as clients:
        there = (await clients.dynamodb.list_tables())["TableNames"]
        missing = [table for table in KEYS if table_name(table) not in there]
        for table in missing:
            await create(clients.dynamodb, table)
            try:
                await put_all(clients.dynamodb, table, contents[table])
            except BaseException:
                # A table that is there counts as filled.
                await clients.dynamodb.delete_table(TableName=table_name(table))
                raise
        counts = {table: await _count(clients.dynamodb, table) for table in KEYS}
    return Filled(bool(missing), len(published), counts)


async def change(target: Target, documents: int) -> int:
    """Write the first documents anew, each a little dearer; return how many."""
    changed = []
    for item in items.documents(documents):
        amount = item["amount"]["M"]
        amount["net"] = {"N": f"{amount['net']['N']}99"}
        changed.append(item | {"status": {"S": "changed"}})
    async with target.clients() as clients:
        await put_all(clients.dynamodb, "documents", changed)
    return len(changed)


async def create(client: "DynamoDBClient", table: str) -> None:
    """Create one of the tables, empty."""
    keys = KEYS[table]
    await client.create_table(
        TableName=table_name(table),
        KeySchema=[
            {"AttributeName": name, "KeyType": "RANGE" if place else "HASH"}
            for place, (name, _) in enumerate(keys)
        ],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "N" if kind == "N" else "S"}
            for name, kind in keys
        ],
        BillingMode="PAY_PER_REQUEST",
    )


async def put_all(client: "DynamoDBClient", table: str, wanted: Iterable[Item]) -> None:
    """Write items, a few batches at a time; what DynamoDB has no room for is sent again."""
    groups = _groups(wanted)

    async def lane() -> None:
        for group in groups:
            await _put(client, table_name(table), group)

    await together(lane() for _ in range(_AT_ONCE))


def _groups(wanted: Iterable[Item]) -> Iterator[tuple[Item, ...]]:
    iterator = iter(wanted)
    while group := tuple(islice(iterator, _BATCH)):
        yield group


async def _put(client: "DynamoDBClient", name: str, group: tuple[Item, ...]) -> None:
    requests = {name: [{"PutRequest": {"Item": item}} for item in group]}
    while requests:
        answer = await client.batch_write_item(RequestItems=requests)  # type: ignore[arg-type]  # plain dicts
        requests = answer.get("UnprocessedItems") or {}  # type: ignore[assignment]  # plain dicts
        if requests:
            await asyncio.sleep(0.1)


async def _count(client: "DynamoDBClient", table: str) -> int:
    pages = client.get_paginator("scan").paginate(TableName=table_name(table), Select="COUNT")
    return sum([page["Count"] async for page in pages])

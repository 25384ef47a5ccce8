"""DynamoDB tables as a source: scanned whole, a table's segments side by side."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from contracts import CollectedFile, Manifest
from contracts.dataset import DynamoSource
from services.collector.sources.dynamodb_access import ScanSettings
from services.collector.sources.source import Order
from services.collector.sources.table_segment import (
    PART_BYTES,
    Allowance,
    Parts,
    Segment,
    scan_segment,
)
from shared.aws import aws_errors
from shared.errors import InvalidRequest
from shared.log import log
from shared.together import together

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient


class Access(Protocol):
    """Where a dataset's tables are."""

    def settings_of(self, dataset: str) -> ScanSettings:
        """Return what differs from the dataset's declaration."""
        ...

    def client(self, dataset: str, run_id: str) -> AbstractAsyncContextManager["DynamoDBClient"]:
        """Open a client for the dataset's tables."""
        ...


# Each segment holds a file and a page of its table in memory.
_AT_ONCE = 16


@dataclass(frozen=True)
class DynamoGatherer:
    """Scans every table of a dataset, one after the other; consistent reads.

    A scan is no snapshot: an item that is written meanwhile is there as it was before or after.
    Every item that is there throughout comes exactly once.
    """

    access: Access
    lake: Parts
    env: str
    now: Callable[[], datetime]
    part_bytes: int = PART_BYTES

    async def gather(self, order: Order) -> Manifest:
        """Store all items; an empty table is an empty file.

        Raises:
            PermanentError: there is no such table, or no right to read it.
        """
        source = order.dataset.source
        if not isinstance(source, DynamoSource):
            raise InvalidRequest(f"{order.dataset.name} does not come from DynamoDB")
        settings = self.access.settings_of(order.dataset.name)
        source = source.model_copy(
            update={
                name: given
                for name in ("table_name", "segments")
                if (given := getattr(settings, name)) is not None
            }
        )
        files: list[CollectedFile] = []
        warnings: list[str] = []
        for table in source.tables:
            allowance = Allowance(order.max_items)
            files += await self._scan(order, source, table, allowance)
            if allowance.used_up:
                warnings.append(f"{table}: stopped after {order.max_items} items, as asked")
        return Manifest(
            dataset=order.dataset.name,
            run_id=order.run_id,
            source_url=f"dynamodb:{source.name_in(self.env, '{table}')}",
            collected_at=self.now(),
            files=tuple(files),
            warnings=tuple(warnings),
        )

    async def settle(self, manifest: Manifest) -> Manifest:
        """Return the manifest: a full refresh has no books to keep."""
        return manifest

    async def _scan(
        self, order: Order, source: DynamoSource, table: str, allowance: Allowance
    ) -> list[CollectedFile]:
        called = source.name_in(self.env, table)
        async with self.access.client(order.dataset.name, order.run_id) as client:
            with aws_errors(f"looking at {called}"):
                described = await client.describe_table(TableName=called)
            key = [part["AttributeName"] for part in described["Table"]["KeySchema"]]
            places = asyncio.Semaphore(_AT_ONCE)

            async def scan(number: int) -> list[CollectedFile]:
                async with places:
                    return await scan_segment(
                        client,
                        Segment(table, called, key, number, source.segments),
                        lake=self.lake,
                        prefix=order.prefix,
                        allowance=allowance,
                        part_bytes=self.part_bytes,
                    )

            found = await together(scan(number) for number in range(1, source.segments + 1))
        files = [file for segment in found for file in segment]
        items = sum(file.rows or 0 for file in files)
        log.info("table_scanned", table=table, segments=source.segments, items=items)
        return files

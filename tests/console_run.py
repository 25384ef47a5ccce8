"""A run, and a table of it, for the console to show."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from contracts import StepRecord
from services.loader import ledger
from services.loader.exactly_once import load_parquet
from shared.aws import open_clients
from shared.run_log import DynamoRunLog
from tests.dlq_bench import pointed_at
from tests.loads import LIMITS, PROVENANCE, bank_rows, write
from tests.parked import NAMES

RUN = "20261121-080000-abcd"
LOADED = datetime.now(UTC) - timedelta(minutes=3)


def step(stage: str, part: str, second: int, **fields: Any) -> StepRecord:
    at = LOADED + timedelta(seconds=second)
    values = {
        "run_id": RUN,
        "stage": stage,
        "part": part,
        "status": "done",
        "dataset": "call_reports",
        "message_id": "m",
        "started_at": at,
        "finished_at": at + timedelta(seconds=4),
        "trace": "Root=1-6b00d0f0-c4133d3a88745ddc8ef71c0a",
    }
    return StepRecord.model_validate(values | fields)


async def record(endpoint: str, *steps: StepRecord) -> None:
    with pointed_at(endpoint):
        async with open_clients() as clients:
            for one in steps:
                await DynamoRunLog(clients.dynamodb, NAMES.runs_table).record(one)


async def fill_table(url: str, folder: Path) -> None:
    connection = await asyncpg.connect(url, statement_cache_size=0)
    try:
        await ledger.prepare(connection)
        path = folder / "rc.parquet"
        declaration = write(path, bank_rows({37: 100, 242: 200}))
        await load_parquet(connection, path, declaration, PROVENANCE, LIMITS)
    finally:
        await connection.close()

"""The loader's entry with a real database: which sessions it leaves after a message."""

import asyncio
import time
from pathlib import Path

import asyncpg
import boto3
import pytest

from infra.names import Names
from ops.stack.services import service_programs
from services.loader.main import open_loader
from shared.worker import LambdaHandler
from tests.contracts.running_services import PlentyOfTime, RunningServices
from tests.loads import bank_rows, enveloped, write

NAMES = Names("local")
_SECONDS_TO_LEAVE = 10


@pytest.fixture
def message(emulator: str, tmp_path: Path) -> str:
    """A load whose object is in the lake."""
    declaration = write(tmp_path / "rc.parquet", bank_rows({1: 10}))
    s3 = boto3.client("s3")
    s3.upload_file(str(tmp_path / "rc.parquet"), NAMES.bucket, declaration.object.key)
    assert emulator
    return enveloped(declaration).model_dump_json()


def sessions_after(
    message: str, services: RunningServices, environment: pytest.MonkeyPatch, *, expected: int
) -> int:
    """Let the handler treat the message as Lambda does; count the sessions that stay open."""
    programs = service_programs(services.endpoint, services.database_url, services.portal_url)
    for name, value in next(p for p in programs if p.part == "loader").variables.items():
        environment.setenv(name, value)
    handler = LambdaHandler(open_loader)
    try:
        event = {"Records": [services.record("loader", message)]}
        assert handler(event, PlentyOfTime())["batchItemFailures"] == []
        return asyncio.run(_sessions(services.database_url, expected))
    finally:
        handler.close()


async def _sessions(url: str, expected: int) -> int:
    connection = await asyncpg.connect(url)
    try:
        loaded = "SELECT count(*) FROM quarry.load WHERE outcome = 'loaded'"
        assert await connection.fetchval(loaded) == 1
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid()"
        )
        # The server takes a moment to end a session that said goodbye.
        deadline = time.monotonic() + _SECONDS_TO_LEAVE
        while (found := await connection.fetchval(query)) > expected:
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.05)
        return int(found)
    finally:
        await connection.close()


def test_as_a_function_the_loader_leaves_no_session_behind(
    message: str, emulator: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUARRY_KEEP_CONNECTIONS", "false")
    services = RunningServices(emulator, database_url, "http://127.0.0.1:9/")
    assert sessions_after(message, services, monkeypatch, expected=0) == 0


def test_a_worker_keeps_its_connection_for_the_next_message(
    message: str, emulator: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = RunningServices(emulator, database_url, "http://127.0.0.1:9/")
    assert sessions_after(message, services, monkeypatch, expected=1) >= 1

"""32 processors finish together over 12 tables, and several loader processes share the work."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep

import asyncpg

from contracts import LoadTable
from infra.names import Names
from ops.stack.home import ROOT
from ops.stack.services import service_programs
from ops.stack.supervise import Program
from services.loader.sql import lock_key
from shared.aws import Clients, open_clients
from tests.loads import FIRST, bank_rows, enveloped, write

_LOADERS, _TABLES, _PROCESSORS = 3, 12, 32
_LOADS = _TABLES * _PROCESSORS
_QUARTERS = [f"{year}Q{quarter}" for year in range(2013, 2021) for quarter in (1, 2, 3, 4)]
_START_SECONDS, _DRAIN_SECONDS = 60, 240
_HELD = "t0"


def loader_program(endpoint: str, database_url: str) -> Program:
    programs = service_programs(endpoint, database_url, "http://127.0.0.1:9")
    return next(program for program in programs if program.part == "loader")


@contextmanager
def running(program: Program, log: Path) -> Iterator[None]:
    """One loader process, as the local stack starts it; it ends with the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  # our own program
            program.command,
            env={"PATH": os.environ["PATH"], **program.variables},
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
        )
    try:
        deadline = monotonic() + _START_SECONDS
        while not program.ready(log.read_text()):
            assert process.poll() is None, log.read_text()
            assert monotonic() < deadline, log.read_text()
            sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


@asynccontextmanager
async def loaders(program: Program, folder: Path) -> AsyncIterator[None]:
    """Several loader processes on one queue."""
    with ExitStack() as processes:
        for number in range(_LOADERS):
            log = folder / f"loader{number}.log"
            await asyncio.to_thread(processes.enter_context, running(program, log))
        yield


async def finish(
    clients: Clients, queue_url: str, folder: Path, processor: int
) -> dict[str, tuple[int, str]]:
    """Let a processor send a load of its quarter to each table; return how they were numbered."""
    path = folder / f"rows{processor}"
    numbered: dict[str, tuple[int, str]] = {}
    for table in [f"t{number}" for number in range(_TABLES)]:
        load = declared(path, table, processor)
        if not numbered:
            await clients.s3.put_object(
                Bucket=Names("local").bucket, Key=load.object.key, Body=path.read_bytes()
            )
        answer = await clients.sqs.send_message(
            QueueUrl=queue_url,
            MessageBody=enveloped(load).to_json(),
            MessageGroupId=f"{load.table_schema}.{table}",
            MessageDeduplicationId=str(load.load_id),
        )
        numbered[table] = (int(answer["SequenceNumber"]), _QUARTERS[processor])
    return numbered


def declared(path: Path, table: str, processor: int) -> LoadTable:
    return write(
        path,
        bank_rows({1: processor, 2: 1000}, period=_QUARTERS[processor]),
        name=table,
        period=_QUARTERS[processor],
        as_of=FIRST + timedelta(days=processor),
    )


@asynccontextmanager
async def held(connection: asyncpg.Connection, table: str) -> AsyncIterator[None]:
    """Keep one table's lock, as a long load would."""
    async with connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({lock_key('call_reports', table)})")
        yield


async def loaded(connection: asyncpg.Connection, *, count: int, but: str = "") -> None:
    """Wait until so many loads of other tables than `but` are in the ledger."""
    deadline = monotonic() + _DRAIN_SECONDS
    statement = "SELECT count(*) FROM quarry.load WHERE table_name <> $1"
    while (found := await connection.fetchval(statement, but)) < count:
        assert monotonic() < deadline, f"{found} of {count} loads"
        await asyncio.sleep(0.2)


async def test_loader_processes_share_the_tables_and_lose_double_and_reorder_nothing(
    emulator: str, database_url: str, tmp_path: Path
) -> None:
    program = loader_program(emulator, database_url)
    queue_url = program.variables["QUARRY_QUEUE_URL"]
    connection, holder = [await asyncpg.connect(database_url) for _ in range(2)]
    try:
        async with loaders(program, tmp_path), open_clients() as clients:
            async with held(holder, _HELD):
                sending = (finish(clients, queue_url, tmp_path, one) for one in range(_PROCESSORS))
                numbered = await asyncio.gather(*sending)
                # The others do not wait for the table that is held.
                await loaded(connection, count=_LOADS - _PROCESSORS, but=_HELD)
            await loaded(connection, count=_LOADS)

        for table in [f"t{number}" for number in range(_TABLES)]:
            accepted = [quarter for _, quarter in sorted(sent[table] for sent in numbered)]
            assert await in_ledger(connection, table) == accepted
            assert await contents(connection, table) == (2 * _PROCESSORS, sum(range(_PROCESSORS)))
        workers = "SELECT count(DISTINCT worker) FROM quarry.load"
        assert await connection.fetchval(workers) == _LOADERS
    finally:
        await connection.close()
        await holder.close()


async def in_ledger(connection: asyncpg.Connection, table: str) -> list[str]:
    """Quarters of a table in the order they were loaded."""
    rows = await connection.fetch(
        "SELECT period FROM quarry.load WHERE table_name = $1 AND outcome = 'loaded'"
        " ORDER BY loaded_at",
        table,
    )
    return [row["period"] for row in rows]


async def contents(connection: asyncpg.Connection, table: str) -> tuple[int, int]:
    """How many rows a table has, and the sum of what the processors wrote for bank 1."""
    row = await connection.fetchrow(
        f"SELECT count(*), sum(rcfd2170) FILTER (WHERE idrssd = 1) FROM call_reports.{table}"  # noqa: S608  # a name of this test
    )
    assert row is not None
    return row[0], row[1]

"""The loader's real entry under Lambda's own runtime client, with real messages and PostgreSQL."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from contracts import Envelope, LoadTable
from services.loader.sql import lock_key
from tests.infra.emulator import Emulator
from tests.infra.lambda_poller import NAMES, Message, Poller, polled
from tests.loads import bank_rows, enveloped, write

TABLES = ("rc", "ri", "rcb")
# One lane, and one for the note about a failed attempt.
MOST_SESSIONS = 2
# A try soon follows the one that failed, so that a test sees it.
_SOON = {"QUARRY_RETRY_BASE_SECONDS": "1"}
_SESSIONS = """
SELECT count(*) FILTER (WHERE state <> 'idle') AS busy, count(*) AS open FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@pytest.fixture(scope="module")
def database(database_server: str) -> Iterator[str]:
    """URL of an empty database of this file's own."""
    name = f"lambda_{uuid4().hex}"
    asyncio.run(_execute(database_server, f'CREATE DATABASE "{name}"'))
    yield urlunsplit(urlsplit(database_server)._replace(path=f"/{name}"))
    asyncio.run(_execute(database_server, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture(scope="module")
def loader(
    database: str, emulator_of_local: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Poller]:
    folder = tmp_path_factory.mktemp("loader")
    with polled("loader", emulator_of_local, folder, _SOON | {"DATABASE_URL": database}) as poller:
        yield poller


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def at_work(url: str, count: int) -> int:
    """Wait until `count` sessions are at work; return how many there are."""
    deadline = monotonic() + 5
    while (found := await _sessions(url))[0] != count:
        assert monotonic() < deadline, f"{found[0]} sessions are at work"
        await asyncio.sleep(0.05)
    return found[1]


async def _sessions(url: str) -> tuple[int, int]:
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(_SESSIONS)
    finally:
        await connection.close()
    assert row is not None
    return row["busy"], row["open"]


def load(emulator: Emulator, folder: Path, position: int, *, storage: str = "STANDARD") -> Message:
    """A load of the table at `position`, counted round; each has a source digest of its own.

    In storage class GLACIER S3 gives no byte of the rows until they are restored.
    """
    table = TABLES[position % len(TABLES)]
    path = folder / f"{uuid4().hex}.parquet"
    declaration = write(path, bank_rows({37: position}), name=table)
    emulator.client("s3").put_object(
        Bucket=NAMES.bucket,
        Key=declaration.object.key,
        Body=path.read_bytes(),
        StorageClass=storage,
    )
    return ordered(enveloped(declaration))


def ordered(envelope: Envelope[LoadTable]) -> Message:
    payload = envelope.payload
    return Message(envelope.to_json(), group=f"{payload.table_schema}.{payload.table}")


@pytest.fixture(scope="module")
def loads(emulator_of_local: Emulator, tmp_path_factory: pytest.TempPathFactory) -> list[Message]:
    """Ten loads in three groups; from the second delivery on each is in the ledger."""
    folder = tmp_path_factory.mktemp("loads")
    return [load(emulator_of_local, folder, position) for position in range(10)]


@pytest.mark.parametrize("failing", range(10))
def test_a_failure_gives_back_itself_and_the_later_messages_of_its_group(
    failing: int, loader: Poller, loads: list[Message], tmp_path: Path
) -> None:
    batch = [*loads]
    batch[failing] = load(loader.emulator, tmp_path, failing, storage="GLACIER")

    assert loader.deliver(batch) == list(range(failing, 10, len(TABLES)))


def test_what_waits_behind_a_failure_comes_again_after_it_in_order(
    loader: Poller, loads: list[Message], tmp_path: Path
) -> None:
    batch = [load(loader.emulator, tmp_path, 0, storage="GLACIER"), *loads[1:]]

    assert loader.deliver(batch) == [0, 3, 6, 9]
    assert loader.delivered_again(batch, 4) == [0, 3, 6, 9]


def test_a_load_that_can_never_succeed_is_parked_and_does_not_hold_its_group_up(
    loader: Poller, loads: list[Message], tmp_path: Path
) -> None:
    gone = ordered(enveloped(write(tmp_path / "gone.parquet", bank_rows({37: 1}), name="rc")))

    assert loader.deliver([gone, *loads[1:]]) == []
    (parked,) = loader.emulator.receive(NAMES.dead_letter_queue("loader"))
    assert parked["Body"] == gone.body


async def test_a_load_that_waits_for_its_table_too_long_is_given_back_and_leaves_no_session_at_work(
    loader: Poller, loads: list[Message], tmp_path: Path, database: str
) -> None:
    batch = [*loads[1:3], load(loader.emulator, tmp_path, 0), loads[3]]
    other = await asyncpg.connect(database)
    try:
        async with other.transaction():
            key = lock_key("call_reports", TABLES[0])
            await other.execute("SELECT pg_advisory_xact_lock($1)", key)
            failed = await asyncio.to_thread(loader.deliver, batch, seconds_left=8)
            await at_work(database, 1)  # the one that holds the lock
    finally:
        await other.close()

    assert failed == [2, 3]
    assert await asyncio.to_thread(loader.delivered_again, batch, 2) == [2, 3]


async def test_warm_invocations_leave_nothing_behind(
    loader: Poller, loads: list[Message], tmp_path: Path, database: str
) -> None:
    async def invoke() -> int:
        archived = load(loader.emulator, tmp_path, 0, storage="GLACIER")
        fresh = load(loader.emulator, tmp_path, 1)
        batch = [archived, fresh, *loads[2:6]]
        assert await asyncio.to_thread(loader.deliver, batch) == [0, 3]
        return await at_work(database, 0)

    assert await invoke() <= MOST_SESSIONS
    before = loader.process.traces()
    assert max([await invoke() for _ in range(5)]) <= MOST_SESSIONS
    after = loader.process.traces()

    assert (before.files, before.processes) == ([], [])
    assert not after.has_grown_from(before)

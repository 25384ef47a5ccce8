"""The local PostgreSQL launcher, on a server of its own."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from ops.stack import postgres
from tests.fixtures import server_folder


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with server_folder() as folder:
        yield folder / "data"
        server = postgres.running(folder / "data")
        if server is not None:
            postgres.stop(server)


def leave_lock_file_of(data_dir: Path, pid: int) -> None:
    server = postgres.start(data_dir)
    lock = data_dir / "cluster" / "postmaster.pid"
    left_behind = lock.read_text().replace(str(server.pid), str(pid), 1)
    postgres.stop(server)
    lock.write_text(left_behind)
    lock.chmod(0o644)


async def run(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_committed_rows_survive_a_killed_server(data_dir: Path) -> None:
    server = postgres.start(data_dir)
    await run(server.url, "CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(server.pid, signal.SIGKILL)

    again = postgres.start(data_dir)

    assert again.pid != server.pid
    assert await run(again.url, "SELECT answer FROM kept") == 42


async def test_a_lock_file_with_a_reused_process_number_does_not_stop_the_server(
    data_dir: Path,
) -> None:
    leave_lock_file_of(data_dir, os.getpid())

    assert await run(postgres.start(data_dir).url, "SELECT 1") == 1


def test_starting_twice_gives_the_one_server_that_runs(data_dir: Path) -> None:
    assert postgres.start(data_dir) == postgres.start(data_dir)


def test_a_stopped_server_is_not_running(data_dir: Path) -> None:
    postgres.stop(postgres.start(data_dir))

    assert postgres.running(data_dir) is None


async def test_a_wrong_password_is_refused(data_dir: Path) -> None:
    server = postgres.start(data_dir)

    with pytest.raises(asyncpg.InvalidPasswordError):
        await run(server.url.replace("quarry:", "quarry:x"), "SELECT 1")

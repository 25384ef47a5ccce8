"""What several test folders start: a PostgreSQL server per session, a database per test."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from ops.stack import postgres
from services.loader import ledger
from services.loader.postgres import Connection

# Tests throw the cluster away, so nothing needs to reach the disk.
_THROW_AWAY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "shared_buffers": "128MB",
}


@contextmanager
def server_folder() -> Iterator[Path]:
    """A new folder that the server's user can enter.

    Not one of pytest's: each pytest that starts closes their common parent to other users.
    """
    with tempfile.TemporaryDirectory(prefix="quarry-test-") as made:
        folder = Path(made)
        folder.chmod(0o711)
        yield folder


@pytest.fixture(scope="session")
def database_server() -> Iterator[str]:
    """URL of a server's maintenance database: `DATABASE_URL` if set, else one of our own."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield given
        return
    with server_folder() as folder:
        server = postgres.start(folder / "data", settings=_THROW_AWAY)
        yield server.url
        postgres.stop(server)


@pytest.fixture
async def database_url(database_server: str) -> AsyncIterator[str]:
    """URL of an empty database of this test's own."""
    name = f"test_{uuid4().hex}"
    admin = await asyncpg.connect(database_server)
    try:
        await admin.execute(f'CREATE DATABASE "{name}"')
        yield urlunsplit(urlsplit(database_server)._replace(path=f"/{name}"))
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await admin.close()


@pytest.fixture
async def ledger_connection(database_url: str) -> AsyncIterator[Connection]:
    """A connection to a database that has the loader's ledger and nothing else."""
    connection = await asyncpg.connect(database_url, statement_cache_size=0)
    try:
        await ledger.prepare(connection)
        yield connection
    finally:
        await connection.close()

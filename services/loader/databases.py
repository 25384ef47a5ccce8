"""The databases of one server: the one that rows usually go to, and those datasets ask for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

import asyncpg

from services.loader import ledger
from services.loader.credentials import in_database
from services.loader.postgres import Database, NoSuchDatabase, ReadAccess
from services.loader.sql import quoted
from shared.errors import InvalidRequest, TransientError
from shared.log import log


class Databases:
    """A pool per database, opened when the first load asks for it; each has its own ledger."""

    def __init__(
        self,
        read_access: ReadAccess,
        stack: AsyncExitStack,
        *,
        connections: int,
        keep: bool,
        may_create: bool,
    ) -> None:
        self._read_access = read_access
        self._stack = stack
        self._connections = connections
        self._keep = keep
        self._may_create = may_create
        self._opened: dict[str | None, Database] = {}
        self._turn = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        read_access: ReadAccess,
        *,
        connections: int,
        keep: bool = True,
        may_create: bool = False,
    ) -> AsyncIterator[Self]:
        """Open nothing yet; up to `connections` to each database later, closed together.

        With `may_create` a database that is missing is created, and its ledger too.
        """
        async with AsyncExitStack() as stack:
            yield cls(read_access, stack, connections=connections, keep=keep, may_create=may_create)

    async def named(self, name: str | None) -> Database:
        """Return a database; None is the one that the credentials name.

        Raises:
            NoSuchDatabase: it is not there, and this role may not create it.
            InvalidRequest: no database can have this name.
        """
        async with self._turn:
            if name not in self._opened:
                self._opened[name] = await self._open(name)
            return self._opened[name]

    async def _open(self, name: str | None) -> Database:
        access = self._read_access if name is None else in_database(self._read_access, name)
        async with AsyncExitStack() as opening:
            database = await opening.enter_async_context(
                Database.open(access, connections=self._connections, keep=self._keep)
            )
            if self._may_create:
                await self._prepare(name, database)
            self._stack.push_async_callback(opening.pop_all().aclose)
        return database

    async def _prepare(self, name: str | None, database: Database) -> None:
        try:
            await _prepare_ledger(database)
        except NoSuchDatabase:
            if name is None:
                raise
            await self._create(name)
            await _prepare_ledger(database)

    async def _create(self, name: str) -> None:
        try:
            statement = f"CREATE DATABASE {quoted(name)}"
        except ValueError as error:
            raise InvalidRequest(str(error)) from error
        usual = self._opened.get(None)
        if usual is None:
            usual = self._opened[None] = await self._open(None)
        async with usual.connection() as connection:
            try:
                await connection.execute(statement)
            except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
                return  # another loader was quicker
            except asyncpg.ObjectInUseError as error:
                raise TransientError(f"creating {name}: {error}") from error
        log.info("database_created", database=name)


async def _prepare_ledger(database: Database) -> None:
    async with database.connection() as connection:
        await ledger.prepare(connection)

"""Reaching an environment from the operator's machine: the running local stack, or an account."""

import getpass
import os
import platform
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aioboto3

from contracts.datasets import all_datasets, dataset_named
from infra.names import Environment, Names
from ops.errors import CommandFailed
from ops.stack.services import aws_variables
from ops.target import Target, find_target, own_databases
from services.loader import credentials
from services.loader.databases import Databases
from services.loader.postgres import Database, ReadAccess
from shared.aws import Clients, open_clients
from shared.lake import Lake
from shared.run_log import DynamoRunLog

_CONNECTIONS = 4


@dataclass(frozen=True)
class Access:
    """One environment, open. `database` is None where nothing says where it is.

    `databases` are those of the same server, for datasets that have one of their own.
    """

    names: Names
    who: str
    clients: Clients
    lake: Lake
    run_log: DynamoRunLog
    database: Database | None
    databases: Databases | None = None

    def need_database(self) -> Database:
        """Return the database.

        Raises:
            CommandFailed: nothing says where it is.
        """
        if self.database is None:
            raise CommandFailed("no database: set DATABASE_URL, or start the stack: quarry up")
        return self.database

    async def database_named(self, name: str | None) -> Database:
        """Return a database of the server; None is the one that most datasets go to.

        Raises:
            CommandFailed: nothing says where the server is.
        """
        if name is None or self.databases is None:
            return self.need_database()
        return await self.databases.named(name)

    async def database_of(self, dataset: str) -> Database:
        """Return the database that a dataset's rows go to.

        Raises:
            CommandFailed: nothing says where the server is.
        """
        return await self.database_named(dataset_named(dataset).database_in(self.names.env))

    async def database_holding(self, table: str) -> Database:
        """Return where a table such as `invoices.cases` is, by the schema in its name.

        Raises:
            CommandFailed: nothing says where the server is.
        """
        schema = table.partition(".")[0]
        own = (one for one in all_datasets().values() if one.table_schema == schema)
        dataset = next(own, None)
        return await self.database_named(dataset.database_in(self.names.env) if dataset else None)

    async def every_database(self) -> list[Database]:
        """Return the usual database and those of datasets' own that are there already."""
        usual = self.need_database()
        async with usual.connection() as connection:
            found = await connection.fetch(
                "SELECT datname FROM pg_database WHERE datname = ANY($1) ORDER BY 1",
                own_databases(self.names.env),
            )
        return [usual, *[await self.database_named(row["datname"]) for row in found]]


@asynccontextmanager
async def open_access(env: Environment) -> AsyncIterator[Access]:
    """Open clients and database with the usual credential chain and `AWS_ENDPOINT_URL`.

    For `local` without an endpoint set, the running stack of `QUARRY_HOME` is used.

    Raises:
        CommandFailed: the local stack is not running, or the account does not answer.
    """
    target = find_target(env)
    if target.endpoint_url and not os.environ.get("AWS_ENDPOINT_URL"):
        os.environ.update(aws_variables(target.endpoint_url))
    names = target.names
    person = f"{getpass.getuser()}@{platform.node()}"
    async with AsyncExitStack() as stack:
        clients = await stack.enter_async_context(open_clients())
        read_access = await _database_access(target, stack)
        database = databases = None
        if read_access is not None:
            opening = Databases.open(read_access, connections=_CONNECTIONS)
            databases = await stack.enter_async_context(opening)
            database = await databases.named(None)
        yield Access(
            names=names,
            who=f"{target.caller} ({person})" if target.caller else person,
            clients=clients,
            lake=Lake(clients.s3, names.bucket),
            run_log=DynamoRunLog(clients.dynamodb, names.runs_table),
            database=database,
            databases=databases,
        )


async def _database_access(target: Target, stack: AsyncExitStack) -> ReadAccess | None:
    if target.database_url:
        return credentials.fixed(target.database_url)
    if target.names.env == "local":
        return None
    secrets = await stack.enter_async_context(aioboto3.Session().client("secretsmanager"))
    return credentials.rotating(
        secrets, target.names.database_secret, os.environ.get("QUARRY_TLS_ROOT_CERTIFICATES")
    )

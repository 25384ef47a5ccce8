"""Reaching an environment from the operator's machine: the running local stack, or an account."""

import getpass
import os
import platform
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aioboto3

from contracts.datasets import all_datasets, dataset_named
from infra.names import LOCAL_ACCOUNT, LOCAL_REGION, Environment, Names
from ops.errors import CommandFailed
from ops.stack.home import find_home
from ops.stack.running import database_url, endpoint_url
from ops.stack.services import aws_variables
from ops.target import own_databases
from services.loader import credentials
from services.loader.databases import Databases
from services.loader.postgres import Database, ReadAccess
from shared.aws import Clients, aws_errors, open_clients
from shared.errors import PermanentError, TransientError
from shared.lake import Lake
from shared.run_log import DynamoRunLog

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient

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

    @property
    def dynamodb(self) -> "DynamoDBClient":
        """The client that the run log uses."""
        return self.clients.dynamodb

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
    if env == "local":
        _point_at_the_stack()
    async with AsyncExitStack() as stack:
        session = aioboto3.Session()
        names, who = await _identity(session, env)
        clients = await stack.enter_async_context(open_clients())
        read_access = await _database_access(session, names, stack)
        database = databases = None
        if read_access is not None:
            opening = Databases.open(read_access, connections=_CONNECTIONS)
            databases = await stack.enter_async_context(opening)
            database = await databases.named(None)
        yield Access(
            names=names,
            who=who,
            clients=clients,
            lake=Lake(clients.s3, names.bucket),
            run_log=DynamoRunLog(clients.dynamodb, names.runs_table),
            database=database,
            databases=databases,
        )


def _point_at_the_stack() -> None:
    if os.environ.get("AWS_ENDPOINT_URL"):
        return
    home = find_home()
    url = endpoint_url(home, home.read())
    if url is None:
        raise CommandFailed("the local stack is not running; start it: quarry up")
    os.environ.update(aws_variables(url))


async def _identity(session: Any, env: Environment) -> tuple[Names, str]:
    person = f"{getpass.getuser()}@{platform.node()}"
    region = session.region_name or os.environ.get("AWS_REGION")
    if env == "local":
        return Names(env, LOCAL_ACCOUNT, region or LOCAL_REGION), person
    if region is None:
        raise CommandFailed("no AWS region: set AWS_REGION, or a region in the AWS profile")
    try:
        async with session.client("sts") as sts:
            with aws_errors("asking who we are"):
                found = await sts.get_caller_identity()
    except (PermanentError, TransientError) as error:
        raise CommandFailed(f"the AWS account of {env} does not answer: {error}") from error
    return Names(env, found["Account"], region), f"{found['Arn']} ({person})"


async def _database_access(session: Any, names: Names, stack: AsyncExitStack) -> ReadAccess | None:
    given = os.environ.get("DATABASE_URL")
    if not given and names.env == "local":
        home = find_home()
        given = database_url(home, home.read())
    if given:
        return credentials.fixed(given)
    if names.env == "local":
        return None
    secrets = await stack.enter_async_context(session.client("secretsmanager"))
    return credentials.rotating(
        secrets, names.database_secret, os.environ.get("QUARRY_TLS_ROOT_CERTIFICATES")
    )

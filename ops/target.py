"""Which Quarry a command talks to: the local stack, or an environment on AWS."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

import aioboto3
import boto3

from contracts.datasets import UnknownDataset, all_datasets, dataset_named
from infra.names import LOCAL_REGION, Environment, Names
from ops.errors import CommandFailed
from ops.stack.home import find_home
from ops.stack.running import database_url, endpoint_url
from ops.stack.services import aws_variables
from shared.aws import aws_errors
from shared.errors import QuarryError

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb.client import DynamoDBClient
    from types_aiobotocore_sqs.client import SQSClient

_NOT_RUNNING = "the local stack is not running; start it with: quarry up"


@dataclass(frozen=True)
class Clients:
    """Open clients of one target."""

    sqs: "SQSClient"
    dynamodb: "DynamoDBClient"


@dataclass(frozen=True)
class Target:
    """One environment: `endpoint_url` of an emulator, `database_url` where it is known.

    `caller` is who the AWS credentials say we are.
    """

    names: Names
    endpoint_url: str | None = None
    database_url: str | None = None
    caller: str | None = None

    @property
    def variables(self) -> dict[str, str]:
        """What other programs need in their environment to reach it."""
        variables = aws_variables(self.endpoint_url) if self.endpoint_url else {}
        if self.database_url:
            variables["DATABASE_URL"] = self.database_url
        return variables

    def queue_url(self, queue: str) -> str:
        """Return a queue's address by its name."""
        if self.endpoint_url:
            return f"{self.endpoint_url}/{self.names.account}/{queue}"
        return self.names.queue_url(queue)

    @asynccontextmanager
    async def clients(self) -> AsyncIterator[Clients]:
        """Open clients: with fixed credentials locally, else with the usual credential chain."""
        local = aws_variables(self.endpoint_url) if self.endpoint_url else {}
        session = aioboto3.Session(
            aws_access_key_id=local.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=local.get("AWS_SECRET_ACCESS_KEY"),
            region_name=self.names.region,
        )
        async with AsyncExitStack() as stack:
            yield Clients(
                sqs=await stack.enter_async_context(
                    session.client("sqs", endpoint_url=self.endpoint_url)
                ),
                dynamodb=await stack.enter_async_context(
                    session.client("dynamodb", endpoint_url=self.endpoint_url)
                ),
            )


def find_target(env: Environment) -> Target:
    """Return the environment `env`: of this machine, or of the account the credentials lead to.

    `AWS_ENDPOINT_URL` and `DATABASE_URL` come before what the local stack says.

    Raises:
        CommandFailed: the local stack does not run, or the account does not answer.
    """
    database = os.environ.get("DATABASE_URL") or None
    if env != "local":
        return _target_on_aws(env, database)
    home = find_home()
    state = home.read()
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or endpoint_url(home, state)
    if endpoint is None:
        raise CommandFailed(_NOT_RUNNING)
    names = Names(env, region=os.environ.get("AWS_REGION") or LOCAL_REGION)
    return Target(names, endpoint, database or database_url(home, state))


def _target_on_aws(env: Environment, database: str | None) -> Target:
    session = boto3.Session()
    region = session.region_name or os.environ.get("AWS_REGION")
    if region is None:
        raise CommandFailed("no AWS region: set AWS_REGION, or a region in the AWS profile")
    try:
        with aws_errors("asking who we are"):
            found = session.client("sts", region_name=region).get_caller_identity()
    except QuarryError as error:
        raise CommandFailed(f"the AWS account of {env} does not answer: {error}") from error
    names = Names(env, account=found["Account"], region=region)
    return Target(names, database_url=database, caller=found["Arn"])


def find_database_of(env: Environment, dataset: str | None) -> str:
    """Return the address of the database that a dataset's rows go to; None: the usual one.

    Raises:
        CommandFailed: no such dataset, or no database is known.
    """
    usual = find_database(env)
    if dataset is None:
        return usual
    try:
        own = dataset_named(dataset).database_in(env)
    except UnknownDataset as error:
        raise CommandFailed(str(error)) from error
    return in_own_database(usual, own) if own else usual


def in_own_database(database_url: str, name: str) -> str:
    """Return the address of another database on the same server."""
    return urlunsplit(urlsplit(database_url)._replace(path=f"/{quote(name, safe='')}"))


def find_database(env: Environment) -> str:
    """Return the address of the environment's database; the emulator need not run for it.

    Raises:
        CommandFailed: none is known; the message says what to do.
    """
    if env == "local":
        home = find_home()
        url = database_url(home, home.read())
        if url is None:
            raise CommandFailed(_NOT_RUNNING)
        return url
    given = os.environ.get("DATABASE_URL")
    if not given:
        raise CommandFailed(f"set DATABASE_URL to the database of {env}")
    return given


def own_databases(env: Environment) -> list[str]:
    """Return the names of databases that datasets have for themselves."""
    named = (dataset.database_in(env) for dataset in all_datasets().values())
    return sorted({name for name in named if name is not None})

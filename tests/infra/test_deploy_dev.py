"""The dev templates, deployed to the emulator: a request by REST or by schedule becomes rows.

Five functions run from this source tree (`as_deployed.py`), polled for by the emulator's own event
source mappings; the source is the portal stand-in with small made-up quarters, and ToteSys. The
emulator's Aurora is an entry in a list: a PostgreSQL of the test's own, with TLS and the password
that the data stack made, takes its place, and the stack's secret is told its address.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request, urlopen
from uuid import uuid4

import asyncpg
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from contracts import Period
from infra.deploy import Deployer
from infra.names import LOCAL_REGION, SERVICES, Names
from infra.templates import template_paths
from ops.portal.catalogue import Catalogue
from ops.portal.quarters import MadeUpQuarters
from ops.portal.serve import running_portal
from ops.sources import totesys
from tests.infra.as_deployed import for_emulator
from tests.infra.emulator import Emulator, empty_emulator
from tests.tls_front import make_authority, make_certificate, running_tls_front

NAMES = Names("dev")
_WAIT_SECONDS = 300
# Roles are the server's, not the database's.
_LOADER = f"loader_{uuid4().hex}"
_BANKS = 20
# Later than the deploy by no more than it takes; the emulator looks every ten seconds.
_DUE_SECONDS = 30
# What Scheduler puts in itself and the emulator does not.
_PLANNED = "<aws.scheduler.scheduled-time>"
REQUEST = {
    "dataset": "call_reports",
    "start_year": 2013,
    "start_quarter": 1,
    "end_year": 2013,
    "end_quarter": 1,
}


@dataclass(frozen=True)
class Api:
    """The deployed REST entry; requests are signed as a caller with an IAM role signs them."""

    url: str

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        url = self.url + path
        signed = AWSRequest(method, url, {"content-type": "application/json"}, data)
        SigV4Auth(Credentials("test", "test"), "execute-api", LOCAL_REGION).add_auth(signed)
        request = Request(url, data, dict(signed.headers), method=method)  # noqa: S310  # our own emulator
        try:
            with urlopen(request, timeout=_WAIT_SECONDS) as response:  # noqa: S310  # our own emulator
                return response.status, json.loads(response.read())
        except HTTPError as error:
            with error:
                return error.code, json.loads(error.read())


@pytest.fixture(scope="module")
def database(database_server: str) -> str:
    """URL of a database that stands for Aurora."""

    async def create() -> None:
        connection = await asyncpg.connect(database_server)
        await connection.execute("CREATE DATABASE quarry_dev")
        await connection.close()

    asyncio.run(create())
    return urlunsplit(urlsplit(database_server)._replace(path="/quarry_dev"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of whoever signs the databases' certificates here, as Amazon does there."""
    return make_authority(tmp_path_factory.mktemp("authority"), "quarry-test")


@pytest.fixture(scope="module")
def tls_port(database_server: str, authority: Path) -> Iterator[int]:
    """Where `localhost` answers as the server, with TLS as RDS demands it."""
    with running_tls_front(database_server, make_certificate(authority, "localhost")) as port:
        yield port


@pytest.fixture(scope="module")
def variables(
    authority: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, dict[str, str]]]:
    """Stack -> what its functions need here and not on AWS: another portal and authority."""
    quarters = MadeUpQuarters(tmp_path_factory.mktemp("quarters"), 1, _BANKS)
    trust = {"QUARRY_TLS_ROOT_CERTIFICATES": str(authority)}
    today = Period.of(datetime.now(UTC).date())
    with running_portal(Catalogue(None, quarters, today)) as portal:
        collector = {
            "QUARRY_PORTAL_URL": portal.url,
            "QUARRY_FETCHER": "http",
            "QUARRY_MIN_DELAY_SECONDS": "0",
        }
        yield {"collector": collector | trust, "loader": trust}


@pytest.fixture(scope="module")
def due() -> datetime:
    """When the quarterly schedule falls due."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=_DUE_SECONDS)


@pytest.fixture(scope="module")
def emulator(
    tmp_path_factory: pytest.TempPathFactory,
    variables: dict[str, dict[str, str]],
    database: str,
    tls_port: int,
    due: datetime,
) -> Iterator[Emulator]:
    """Every stack, the services in reverse order; two schedules fall due by themselves."""
    with empty_emulator(tmp_path_factory.mktemp("dev")) as running:
        deployer = Deployer(running.client("cloudformation"), poll_seconds=0.02)
        for part in ("data", "shared"):
            template = _template(part, variables)
            deployer.carry_out(deployer.plan(NAMES.stack(part), template, image_tag=None))
        asyncio.run(stand_in_for_aurora(running, database, tls_port))
        asyncio.run(provide_source(running, database, tls_port))
        for part in reversed(SERVICES):
            template = _template(part, variables)
            if part == "generator":
                template = soon(template, due)
            deployer.carry_out(deployer.plan(NAMES.stack(part), template, image_tag="one"))
        yield running


def _template(part: str, variables: dict[str, dict[str, str]]) -> str:
    text = template_paths("dev")[NAMES.stack(part)].read_text()
    return for_emulator(text, variables=variables.get(part, {}))


def soon(template: str, due: datetime) -> str:
    """Switch two schedules on: a quarter's once at `due`, that of ToteSys every minute."""
    document = json.loads(template)
    for resource in document["Resources"].values():
        properties = resource["Properties"]
        if properties.get("Name") == "quarry-dev-call-reports-q2":
            properties["ScheduleExpression"] = f"at({due:%Y-%m-%dT%H:%M:%S})"
            properties["FlexibleTimeWindow"] = {"Mode": "OFF"}
            assert _PLANNED in properties["Target"]["Input"]
            properties["Target"]["Input"] = properties["Target"]["Input"].replace(
                _PLANNED, f"{due:%Y-%m-%dT%H:%M:%SZ}"
            )
            properties["State"] = "ENABLED"
        elif properties.get("Name") == "quarry-dev-incremental-totesys":
            properties["ScheduleExpression"] = "rate(1 minute)"
            properties["State"] = "ENABLED"
    return json.dumps(document)


async def stand_in_for_aurora(emulator: Emulator, database: str, port: int) -> None:
    """Make a user with the password that the stack made, and tell its secret where that is."""
    secrets = emulator.client("secretsmanager")
    made = secrets.get_secret_value(SecretId=NAMES.database_secret)
    fields = json.loads(made["SecretString"])
    connection = await asyncpg.connect(database)
    try:
        password = fields["password"]
        await connection.execute(f"CREATE ROLE {_LOADER} LOGIN SUPERUSER PASSWORD '{password}'")
    finally:
        await connection.close()
    secrets.put_secret_value(
        SecretId=NAMES.database_secret,
        SecretString=json.dumps(
            fields
            | {"username": _LOADER, "host": "localhost", "port": port, "dbname": "quarry_dev"}
        ),
    )


async def provide_source(emulator: Emulator, database: str, port: int) -> None:
    """Fill a ToteSys database and keep a secret about it where the collector looks for one."""
    await totesys.fill(database)
    url = urlsplit(totesys.source_url(database))
    fields = {
        "username": url.username,
        "password": url.password,
        "host": "localhost",
        "port": port,
        "dbname": url.path.strip("/"),
    }
    emulator.client("secretsmanager").create_secret(
        Name=f"{NAMES.prefix}/source/totesys", SecretString=json.dumps(fields)
    )


@pytest.fixture(scope="module")
def api(emulator: Emulator) -> Api:
    (found,) = emulator.client("apigateway").get_rest_apis()["items"]
    return Api(f"{emulator.url}/restapis/{found['id']}/v1/_user_request_")


def test_a_rest_request_becomes_rows_and_its_run_can_be_followed(api: Api, database: str) -> None:
    status, answer = api.call("POST", "/runs", REQUEST)

    assert status == 202
    assert banks_of_rc(database, date(2013, 3, 31)) == _BANKS
    status, run = api.call("GET", f"/runs/{answer['run_id']}")
    assert status == 200
    assert {step["stage"] for step in run["steps"]} == set(SERVICES)
    assert "parked" not in {step["status"] for step in run["steps"]}


def banks_of_rc(database: str, period_end: date) -> int:
    """Wait for the balance sheet of a quarter and return how many banks it has."""

    return rows_of(database, "call_reports.rc", f"period_end = '{period_end}'")


def rows_of(database: str, table: str, condition: str = "true") -> int:
    """Wait for rows of a table and return how many there are."""

    async def wait() -> int:
        connection = await asyncpg.connect(database)
        try:
            deadline = time.monotonic() + _WAIT_SECONDS
            while time.monotonic() < deadline:
                if await connection.fetchval("SELECT to_regclass($1)::text", table):
                    count: int = await connection.fetchval(
                        f"SELECT count(*) FROM {table} WHERE {condition}"  # noqa: S608  # our own words
                    )
                    if count:
                        return count
                await asyncio.sleep(0.2)
            raise AssertionError(f"no rows of {table} arrived")
        finally:
            await connection.close()

    return asyncio.run(wait())


@pytest.mark.parametrize(
    ("request_body", "reason"),
    [
        ({"start_year": 2013}, "dataset"),
        (REQUEST | {"end_year": 2012}, "is after end"),
        (REQUEST | {"end_year": 2999}, "is not over yet"),
    ],
)
def test_a_rest_request_that_cannot_be_done_is_refused_with_the_reason(
    api: Api, request_body: object, reason: str
) -> None:
    status, answer = api.call("POST", "/runs", request_body)

    assert status == 400
    assert reason in answer["reason"]


def test_a_run_nobody_started_is_not_found(api: Api) -> None:
    assert api.call("GET", "/runs/nobody")[0] == 404


def test_a_schedule_that_falls_due_becomes_rows_of_the_quarter_before(
    emulator: Emulator, database: str, due: datetime
) -> None:
    quarter_began = date(due.year, (due.month - 1) // 3 * 3 + 1, 1)

    assert banks_of_rc(database, quarter_began - timedelta(days=1)) == _BANKS
    assert (
        emulator.client("scheduler")
        .get_schedule(Name="quarry-dev-call-reports-q2")["ScheduleExpression"]
        .startswith("at(")
    )


def test_every_minute_a_schedule_brings_what_is_new_in_a_database(
    emulator: Emulator, database: str
) -> None:
    source = totesys.source_url(database)
    for table in ("sales_order", "payment", "purchase_order"):
        expected = rows_of(source, table)
        assert rows_of(database, f"totesys.fact_{table}") == expected
    scheduler = emulator.client("scheduler")
    schedule = scheduler.get_schedule(Name="quarry-dev-incremental-totesys")
    assert schedule["ScheduleExpression"] == "rate(1 minute)"


def test_the_loader_found_its_password_where_the_data_stack_put_it(
    emulator: Emulator, database: str
) -> None:
    function = emulator.client("lambda").get_function_configuration(
        FunctionName="quarry-dev-loader"
    )
    subnets = {
        subnet["SubnetId"]
        for subnet in emulator.client("ec2").describe_subnets()["Subnets"]
        if subnet["CidrBlock"].startswith("10.42.")
    }
    (cluster,) = emulator.client("rds").describe_db_clusters()["DBClusters"]
    secret = emulator.client("secretsmanager").describe_secret(SecretId=NAMES.database_secret)

    assert len(subnets) == 2
    published = emulator.client("ssm").get_parameter(Name=NAMES.parameter("database", "subnet-ids"))
    assert {*published["Parameter"]["Value"].split(",")} == subnets
    assert "DATABASE_URL" not in function["Environment"]["Variables"]
    assert function["Environment"]["Variables"]["QUARRY_DATABASE_SECRET"] in {
        secret["ARN"],
        secret["Name"],
    }
    assert cluster["Engine"] == "aurora-postgresql"
    assert cluster["ServerlessV2ScalingConfiguration"] == {"MinCapacity": 0, "MaxCapacity": 2}
    assert rows_of(
        database, "pg_tables", f"tableowner = '{_LOADER}' AND schemaname = 'call_reports'"
    )


def test_redeploying_one_service_leaves_the_functions_of_the_others_alone(
    emulator: Emulator, variables: dict[str, dict[str, str]]
) -> None:
    functions = emulator.client("lambda")
    names = [NAMES.function(service) for service in SERVICES]
    before = {name: functions.get_function_configuration(FunctionName=name) for name in names}
    template = _template("processor", variables).replace('"MemorySize": 3008', '"MemorySize": 4096')

    deployer = Deployer(emulator.client("cloudformation"), poll_seconds=0.02)
    plan = deployer.plan(NAMES.stack("processor"), template, image_tag=None)
    deployer.carry_out(plan)

    after = {name: functions.get_function_configuration(FunctionName=name) for name in names}
    changed = {name for name in names if after[name]["RevisionId"] != before[name]["RevisionId"]}
    assert changed == {"quarry-dev-processor"}
    assert after["quarry-dev-processor"]["MemorySize"] == 4096


def test_taking_everything_down_leaves_nothing_behind(emulator: Emulator) -> None:
    deployer = Deployer(emulator.client("cloudformation"), poll_seconds=0.02)
    deployer.remove(NAMES.stack("generator"))
    wait_until_idle(emulator)
    bucket = emulator.client("s3").list_objects_v2(Bucket=NAMES.bucket)
    for item in bucket.get("Contents", []):
        emulator.client("s3").delete_object(Bucket=NAMES.bucket, Key=item["Key"])
    for part in (*SERVICES[1:], "data", "shared"):
        deployer.remove(NAMES.stack(part))

    assert emulator.client("sqs").list_queues().get("QueueUrls", []) == []
    assert emulator.client("lambda").list_functions()["Functions"] == []
    assert emulator.client("s3").list_buckets()["Buckets"] == []
    assert emulator.client("dynamodb").list_tables()["TableNames"] == []
    assert emulator.client("rds").describe_db_clusters()["DBClusters"] == []
    assert {vpc["IsDefault"] for vpc in emulator.client("ec2").describe_vpcs()["Vpcs"]} == {True}


def wait_until_idle(emulator: Emulator) -> None:
    """Wait until no queue holds a message: nothing is at work that could write once more."""
    counts = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    urls = [emulator.queue_url(NAMES.queue(service)) for service in SERVICES[1:]]
    sqs, quiet = emulator.client("sqs"), 0
    deadline = time.monotonic() + _WAIT_SECONDS
    while quiet < len(urls):  # a message may be on its way from one queue to the next
        assert time.monotonic() < deadline, "messages keep coming"
        quiet += 1
        for url in urls:
            answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[*counts])
            if any(int(answer["Attributes"][count]) for count in counts):
                quiet = 0
        time.sleep(0.5)

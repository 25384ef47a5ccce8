"""The dev templates, deployed to the emulator: a request by REST or by schedule becomes rows.

Five functions run from this source tree (`as_deployed.py`), polled for by the emulator's own event
source mappings; the source is the portal stand-in with small made-up quarters. `data` is not among
the stacks: its parameters are put by hand and its database is a PostgreSQL of the test's own.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request, urlopen

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
from tests.infra.as_deployed import for_emulator
from tests.infra.emulator import Emulator, empty_emulator

NAMES = Names("dev")
_WAIT_SECONDS = 120
_BANKS = 20
PLANNED = "2013-08-15T12:00:00Z"
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
def variables(
    database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, dict[str, str]]]:
    """Stack -> what its functions need here and not on AWS: other addresses, no browser."""
    quarters = MadeUpQuarters(tmp_path_factory.mktemp("quarters"), 1, _BANKS)
    with running_portal(Catalogue(None, quarters, Period(2013, 4))) as portal:
        collector = {
            "QUARRY_PORTAL_URL": portal.url,
            "QUARRY_FETCHER": "http",
            "QUARRY_MIN_DELAY_SECONDS": "0",
        }
        yield {"collector": collector, "loader": {"DATABASE_URL": database}}


@pytest.fixture(scope="module")
def emulator(
    tmp_path_factory: pytest.TempPathFactory, variables: dict[str, dict[str, str]]
) -> Iterator[Emulator]:
    """Every stack but `data`, the services in reverse order."""
    with empty_emulator(tmp_path_factory.mktemp("dev")) as running:
        for name in ("secret-arn", "client-security-group-id", "subnet-ids"):
            running.client("ssm").put_parameter(
                Name=NAMES.parameter("database", name), Value=f"dev-{name}", Type="String"
            )
        deployer = Deployer(running.client("cloudformation"), poll_seconds=0.02)
        for part in ("shared", *reversed(SERVICES)):
            template = _template(part, variables)
            deployer.carry_out(deployer.plan(NAMES.stack(part), template, image_tag="one"))
        yield running


def _template(part: str, variables: dict[str, dict[str, str]]) -> str:
    text = template_paths("dev")[NAMES.stack(part)].read_text()
    return for_emulator(text, variables=variables.get(part, {}))


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

    async def wait() -> int:
        connection = await asyncpg.connect(database)
        try:
            deadline = time.monotonic() + _WAIT_SECONDS
            while time.monotonic() < deadline:
                if await connection.fetchval("SELECT to_regclass('call_reports.rc')"):
                    count: int = await connection.fetchval(
                        "SELECT count(*) FROM call_reports.rc WHERE period_end = $1", period_end
                    )
                    if count:
                        return count
                await asyncio.sleep(0.2)
            raise AssertionError("no rows arrived")
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


def test_a_schedule_that_falls_due_becomes_rows_of_the_planned_quarter(
    emulator: Emulator, database: str
) -> None:
    scheduler = emulator.client("scheduler")
    schedule = scheduler.get_schedule(Name="quarry-dev-call-reports-q2")
    # The emulator does not fill in Scheduler's context attributes; the moment comes sooner too.
    target = schedule["Target"] | {
        "Input": schedule["Target"]["Input"].replace("<aws.scheduler.scheduled-time>", PLANNED)
    }
    assert PLANNED in target["Input"]
    scheduler.update_schedule(
        Name=schedule["Name"],
        ScheduleExpression="at(2013-08-15T12:00:00)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=target,
        State="ENABLED",
    )

    assert banks_of_rc(database, date(2013, 6, 30)) == _BANKS


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
    bucket = emulator.client("s3").list_objects_v2(Bucket=NAMES.bucket)
    for item in bucket.get("Contents", []):
        emulator.client("s3").delete_object(Bucket=NAMES.bucket, Key=item["Key"])
    for part in SERVICES:
        deployer.remove(NAMES.stack(part))
    deployer.remove(NAMES.stack("shared"))

    assert emulator.client("sqs").list_queues().get("QueueUrls", []) == []
    assert emulator.client("lambda").list_functions()["Functions"] == []
    assert emulator.client("s3").list_buckets()["Buckets"] == []
    assert emulator.client("dynamodb").list_tables()["TableNames"] == []

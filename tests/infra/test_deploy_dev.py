"""The dev templates, deployed to the emulator: by REST, by schedule and by event, up to the rows.

The functions run from this source tree (`as_deployed.py`), polled for by the emulator's own event
source mappings. The collector has none here, so that what reaches its queue stays there.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request, urlopen

import asyncpg
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from infra.deploy import Deployer
from infra.names import LOCAL_REGION, SERVICES, Names
from infra.templates import template_paths
from tests.call_report_files import (
    A_BANK,
    PANEL_NAME,
    collect,
    panel,
    schedule,
    schedule_name,
)
from tests.fakes import FakeLake
from tests.infra.as_deployed import for_emulator
from tests.infra.emulator import Emulator, empty_emulator

NAMES = Names("dev")
PARTS = ("shared", *reversed(SERVICES))
_WAIT_SECONDS = 60
PLANNED = "2013-08-15T12:00:00Z"
REQUEST = {
    "dataset": "call_reports",
    "start_year": 2013,
    "start_quarter": 1,
    "end_year": 2013,
    "end_quarter": 2,
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
def emulator(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[Emulator]:
    """Every stack but `data`, whose parameters are put by hand; services in reverse order."""
    with empty_emulator(tmp_path_factory.mktemp("dev")) as running:
        for name in ("secret-arn", "client-security-group-id", "subnet-ids"):
            running.client("ssm").put_parameter(
                Name=NAMES.parameter("database", name), Value=f"dev-{name}", Type="String"
            )
        deployer = Deployer(running.client("cloudformation"), poll_seconds=0.02)
        for part in PARTS:
            plan = deployer.plan(NAMES.stack(part), _template(part, database), image_tag="one")
            deployer.carry_out(plan)
        yield running


def _template(part: str, database: str) -> str:
    template = for_emulator(
        template_paths("dev")[NAMES.stack(part)].read_text(),
        variables={"DATABASE_URL": database} if part == "loader" else {},
    )
    return _without_polling(template) if part == "collector" else template


def _without_polling(template: str) -> str:
    document = json.loads(template)
    mapping = "AWS::Lambda::EventSourceMapping"
    document["Resources"] = {k: v for k, v in document["Resources"].items() if v["Type"] != mapping}
    return json.dumps(document)


@pytest.fixture(scope="module")
def api(emulator: Emulator) -> Api:
    (found,) = emulator.client("apigateway").get_rest_apis()["items"]
    return Api(f"{emulator.url}/restapis/{found['id']}/v1/_user_request_")


def commands(emulator: Emulator, count: int) -> list[Mapping[str, Any]]:
    """Take `count` commands off the collector's queue, oldest quarter first."""
    found: list[Mapping[str, Any]] = []
    deadline = time.monotonic() + _WAIT_SECONDS
    sqs, queue = emulator.client("sqs"), NAMES.queue("collector")
    while len(found) < count and time.monotonic() < deadline:
        for message in emulator.receive(queue):
            found.append(json.loads(message["Body"]))
            sqs.delete_message(
                QueueUrl=emulator.queue_url(queue), ReceiptHandle=message["ReceiptHandle"]
            )
    return sorted(found, key=lambda command: str(command["payload"]["period"]))


def test_a_rest_request_becomes_commands_and_its_run_can_be_followed(
    emulator: Emulator, api: Api
) -> None:
    status, answer = api.call("POST", "/runs", REQUEST)

    assert status == 202
    sent = commands(emulator, 2)
    assert [command["payload"]["period"] for command in sent] == ["2013Q1", "2013Q2"]
    assert {command["run_id"] for command in sent} == {answer["run_id"]}
    status, run = api.call("GET", f"/runs/{answer['run_id']}")
    assert status == 200
    assert [(step["stage"], step["dataset"]) for step in run["steps"]] == [
        ("generator", "call_reports")
    ]


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


def test_a_schedule_that_falls_due_becomes_a_command_for_the_planned_quarter(
    emulator: Emulator,
) -> None:
    scheduler = emulator.client("scheduler")
    schedule = scheduler.get_schedule(Name="quarry-dev-call-reports-q2")
    # The emulator does not fill in Scheduler's context attributes; the moment comes sooner too.
    target = schedule["Target"] | {
        "Input": schedule["Target"]["Input"].replace("<aws.scheduler.scheduled-time>", PLANNED)
    }
    scheduler.update_schedule(
        Name=schedule["Name"],
        ScheduleExpression="at(2013-08-15T12:00:00)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=target,
        State="ENABLED",
    )

    (command,) = commands(emulator, 1)

    assert PLANNED in target["Input"]
    assert command["payload"]["period"] == "2013Q2"


async def test_a_complete_folder_becomes_rows(emulator: Emulator, database: str) -> None:
    files = {
        PANEL_NAME: panel({37: A_BANK, 242: A_BANK}),
        schedule_name("RC"): schedule(["RCON2170"], [["37", "1000"], ["242", "2000"]]),
    }
    lake = FakeLake(bucket=NAMES.bucket)
    envelope = await collect(lake, files, run_id="run-dev")
    for key, data in lake.objects.items():
        emulator.client("s3").put_object(Bucket=NAMES.bucket, Key=key, Body=data)
    entry = {
        "Source": "quarry.collector",
        "DetailType": "FolderComplete",
        "Detail": envelope.to_json(),
        "EventBusName": NAMES.bus,
    }
    emulator.client("events").put_events(Entries=[entry])

    assert await _rows_of_rc(database) == [(37, 1000), (242, 2000)]


async def _rows_of_rc(database: str) -> list[tuple[int, int]]:
    connection = await asyncpg.connect(database)
    try:
        deadline = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < deadline:
            if await connection.fetchval("SELECT to_regclass('call_reports.rc')"):
                rows = await connection.fetch(
                    "SELECT idrssd, rcon2170 FROM call_reports.rc ORDER BY idrssd"
                )
                if rows:
                    return [tuple(row) for row in rows]
            await asyncio.sleep(0.2)
        raise AssertionError("no rows arrived")
    finally:
        await connection.close()


def test_redeploying_one_service_leaves_the_functions_of_the_others_alone(
    emulator: Emulator, database: str
) -> None:
    functions = emulator.client("lambda")
    names = [NAMES.function(service) for service in SERVICES]
    before = {name: functions.get_function_configuration(FunctionName=name) for name in names}
    template = _template("processor", database).replace('"MemorySize": 3008', '"MemorySize": 4096')

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

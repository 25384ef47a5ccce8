"""The committed local templates, really deployed: to an emulator, one stack at a time."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from infra.deploy import Deployer, DeployFailed
from infra.names import SERVICES, Names
from infra.templates import template_paths
from ops.doctor import examine_deployed
from ops.stack.home import ROOT
from tests.infra.emulator import Emulator, empty_emulator

NAMES = Names("local")
# Any order will do as long as the bus is there before the rule on it.
REVERSED = [NAMES.stack(part) for part in ("shared", *reversed(SERVICES))]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with empty_emulator(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture(scope="module")
def deployer(emulator: Emulator) -> Deployer:
    """A deployer that has deployed every local stack, services in reverse order."""
    deployer = Deployer(emulator.client("cloudformation"), poll_seconds=0.02)
    for stack in REVERSED:
        template = template_paths("local")[stack].read_text()
        deployer.carry_out(deployer.plan(stack, template, image_tag=None))
    return deployer


@pytest.mark.usefixtures("deployer")
def test_a_folder_complete_event_becomes_the_processors_message(emulator: Emulator) -> None:
    envelope = {"message_id": "m", "payload": {"dataset": "call_reports"}}
    for source, detail in (("quarry.collector", envelope), ("quarry.stranger", {"no": "rule"})):
        entry = {
            "Source": source,
            "DetailType": "FolderComplete",
            "Detail": json.dumps(detail),
            "EventBusName": NAMES.bus,
        }
        assert emulator.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0

    bodies = [json.loads(message["Body"]) for message in emulator.receive("quarry-local-processor")]

    assert bodies == [envelope]


@pytest.mark.usefixtures("deployer")
def test_a_message_received_too_often_is_parked(emulator: Emulator) -> None:
    sqs = emulator.client("sqs")
    url = emulator.queue_url("quarry-local-collector")
    sqs.send_message(QueueUrl=url, MessageBody="again and again")
    for _ in range(5):
        (message,) = emulator.receive("quarry-local-collector")
        sqs.change_message_visibility(
            QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
        )

    assert emulator.receive("quarry-local-collector") == []
    (parked,) = emulator.receive("quarry-local-collector-dlq")
    assert parked["Body"] == "again and again"


@pytest.mark.usefixtures("deployer")
def test_the_loader_queue_keeps_order_within_a_table_only(emulator: Emulator) -> None:
    sqs = emulator.client("sqs")
    url = emulator.queue_url("quarry-local-loader.fifo")
    for table, body in (("rc", "rc 1"), ("rc", "rc 2"), ("rcb", "rcb 1")):
        sqs.send_message(
            QueueUrl=url, MessageBody=body, MessageGroupId=table, MessageDeduplicationId=body
        )

    held = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)["Messages"]
    others = emulator.receive("quarry-local-loader.fifo")

    assert [message["Body"] for message in held] == ["rc 1"]
    assert [message["Body"] for message in others] == ["rcb 1"]


def test_redeploying_one_service_touches_no_other_stack(
    emulator: Emulator, deployer: Deployer
) -> None:
    before = _last_events(emulator)
    stack = NAMES.stack("collector")
    template = json.loads(template_paths("local")[stack].read_text())
    queue = next(
        resource
        for resource in template["Resources"].values()
        if resource["Properties"].get("QueueName") == "quarry-local-collector"
    )
    queue["Properties"]["VisibilityTimeout"] = 31

    plan = deployer.plan(stack, json.dumps(template), image_tag=None)
    deployer.carry_out(plan)

    after = _last_events(emulator)
    assert "AWS::SQS::Queue" in {change.type for change in plan.changes}
    assert not any(change.replaced for change in plan.changes)
    assert {name for name in after if after[name] != before[name]} == {stack}
    attributes = emulator.client("sqs").get_queue_attributes(
        QueueUrl=emulator.queue_url("quarry-local-collector"), AttributeNames=["VisibilityTimeout"]
    )
    assert attributes["Attributes"] == {"VisibilityTimeout": "31"}


def _last_events(emulator: Emulator) -> dict[str, str]:
    client = emulator.client("cloudformation")
    return {
        stack: client.describe_stack_events(StackName=stack)["StackEvents"][0]["EventId"]
        for stack in REVERSED
    }


def test_the_doctor_finds_what_was_changed_by_hand(emulator: Emulator, deployer: Deployer) -> None:
    stack = NAMES.stack("processor")
    template = template_paths("local")[stack].read_text()
    by_hand = template.replace('"maxReceiveCount": 5', '"maxReceiveCount": 50')
    deployer.carry_out(deployer.plan(stack, by_hand, image_tag=None))

    faults = examine_deployed("local", emulator.client("cloudformation"))
    deployer.carry_out(deployer.plan(stack, template, image_tag=None))

    assert {fault.stack for fault in faults} >= {stack}
    assert {fault.rule for fault in faults} == {"drift"}


def test_planning_the_deployed_template_again_finds_nothing_to_do(deployer: Deployer) -> None:
    stack = NAMES.stack("loader")

    plan = deployer.plan(stack, template_paths("local")[stack].read_text(), image_tag=None)

    assert plan.changes == ()


def test_a_service_is_removed_and_comes_back_alone(emulator: Emulator, deployer: Deployer) -> None:
    stack = NAMES.stack("generator")
    deployer.remove(stack)
    remaining = emulator.client("sqs").list_queues()["QueueUrls"]
    assert not any("generator" in url for url in remaining)
    assert any("collector" in url for url in remaining)

    template = template_paths("local")[stack].read_text()
    deployer.carry_out(deployer.plan(stack, template, image_tag=None))

    assert emulator.queue_url("quarry-local-generator")


def test_a_new_service_without_an_image_is_refused_before_anything_is_made(
    deployer: Deployer,
) -> None:
    stack = Names("dev").stack("loader")

    with pytest.raises(DeployFailed, match="--image-tag"):
        deployer.plan(stack, template_paths("dev")[stack].read_text(), image_tag=None)


def test_a_refused_template_says_why(deployer: Deployer) -> None:
    template = {
        "Resources": {"Bad": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "wrong.fifo"}}}
    }

    with pytest.raises(DeployFailed, match=r"Bad|fifo"):
        deployer.carry_out(deployer.plan("Broken", json.dumps(template), image_tag=None))


def test_the_diff_command_lists_the_changes_and_makes_none(emulator: Emulator) -> None:
    answer = _deploy_command(
        emulator, "--env", "dev", "--stack", "collector", "--image-tag", "one", "--diff"
    )

    assert answer.returncode == 0, answer.stderr
    assert "add       AWS::Lambda::Function" in answer.stdout
    assert "nothing deployed" in answer.stdout
    stacks = emulator.client("cloudformation").describe_stacks()["Stacks"]
    assert "Quarry-Collector-dev" not in {stack["StackName"] for stack in stacks}


def test_the_deploy_command_says_what_is_missing(emulator: Emulator) -> None:
    answer = _deploy_command(emulator, "--env", "dev", "--stack", "loader")

    assert answer.returncode == 1
    assert "Quarry-Loader-dev is new: push its image and say --image-tag TAG" in answer.stderr


def _deploy_command(emulator: Emulator, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own module
        [sys.executable, "-m", "infra.deploy", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **emulator.variables},
        capture_output=True,
        text=True,
        check=False,
    )

"""Each rule is shown a template that keeps it and the same template with one thing broken."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from infra.names import ENVIRONMENTS, Environment, Names
from infra.rules import faults_of
from infra.template import Template
from infra.templates import template_paths
from ops.cli import build_app
from ops.doctor import drift, examine_committed

Document = dict[str, Any]


def load(part: str) -> Document:
    name = Names("prod").stack(part)
    document: Document = json.loads(template_paths("prod")[name].read_text())
    return document


def of_type(document: Document, resource_type: str) -> Iterator[Document]:
    for resource in document["Resources"].values():
        if resource["Type"] == resource_type:
            yield resource["Properties"]


def queue(document: Document, name: str) -> Document:
    return next(q for q in of_type(document, "AWS::SQS::Queue") if q["QueueName"] == name)


def drop_redrive(document: Document) -> None:
    del queue(document, "quarry-prod-loader.fifo")["RedrivePolicy"]


def standard_dead_letters_for_fifo(document: Document) -> None:
    del queue(document, "quarry-prod-loader-dlq.fifo")["FifoQueue"]


def dead_letters_vanish_with_the_message(document: Document) -> None:
    queue(document, "quarry-prod-loader-dlq.fifo")["MessageRetentionPeriod"] = 345600


def short_visibility(document: Document) -> None:
    queue(document, "quarry-prod-loader.fifo")["VisibilityTimeout"] = 300


def all_or_nothing_batches(document: Document) -> None:
    for mapping in of_type(document, "AWS::Lambda::EventSourceMapping"):
        del mapping["FunctionResponseTypes"]


def unwatched_dead_letters(document: Document) -> None:
    resources = document["Resources"]
    for name in [key for key in resources if "ParkedAlarm" in key]:
        del resources[name]


def silent_alarms(document: Document) -> None:
    for alarm in of_type(document, "AWS::CloudWatch::Alarm"):
        del alarm["AlarmActions"]


def plain_http(document: Document) -> None:
    for policy in of_type(document, "AWS::SQS::QueuePolicy"):
        policy["PolicyDocument"]["Statement"] = []


def endless_logs(document: Document) -> None:
    for group in of_type(document, "AWS::Logs::LogGroup"):
        del group["RetentionInDays"]


def an_export(document: Document) -> None:
    document["Outputs"] = {"Queue": {"Value": "x", "Export": {"Name": "queue"}}}


def public_bucket(document: Document) -> None:
    for bucket in of_type(document, "AWS::S3::Bucket"):
        bucket["PublicAccessBlockConfiguration"]["BlockPublicPolicy"] = False


def public_database(document: Document) -> None:
    for instance in of_type(document, "AWS::RDS::DBInstance"):
        instance["PubliclyAccessible"] = True


def open_door(document: Document) -> None:
    for ingress in of_type(document, "AWS::EC2::SecurityGroupIngress"):
        ingress["CidrIp"] = "0.0.0.0/0"


def lossy_rule(document: Document) -> None:
    for rule in of_type(document, "AWS::Events::Rule"):
        del rule["Targets"][0]["DeadLetterConfig"]


@pytest.mark.parametrize(
    ("part", "break_it", "rule"),
    [
        ("loader", drop_redrive, "dead-letter queue"),
        ("loader", standard_dead_letters_for_fifo, "dead-letter queue type"),
        ("loader", dead_letters_vanish_with_the_message, "retention"),
        ("loader", short_visibility, "visibility"),
        ("loader", all_or_nothing_batches, "partial failures"),
        ("loader", unwatched_dead_letters, "alarm"),
        ("loader", silent_alarms, "alarm"),
        ("loader", plain_http, "TLS"),
        ("loader", endless_logs, "log retention"),
        ("loader", an_export, "independence"),
        ("shared", public_bucket, "public access"),
        ("data", public_database, "public access"),
        ("data", open_door, "public access"),
        ("processor", lossy_rule, "undelivered events"),
    ],
)
def test_a_broken_template_is_found(
    part: str, break_it: Callable[[Document], None], rule: str
) -> None:
    document = load(part)
    before = {fault.rule for fault in faults_of(Template(part, document))}
    broken = copy.deepcopy(document)
    break_it(broken)

    after = {fault.rule for fault in faults_of(Template(part, broken))}

    assert rule not in before
    assert rule in after


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_the_committed_templates_have_no_fault_but_the_example_address(env: Environment) -> None:
    rules = {fault.rule for fault in examine_committed(env)}

    assert rules == (set() if env == "local" else {"alarm address"})


def test_drift_names_each_resource_that_differs() -> None:
    wanted = load("collector")
    deployed = copy.deepcopy(wanted)
    (changed, gone, *_) = wanted["Resources"]
    deployed["Resources"][changed]["Properties"] = {}
    del deployed["Resources"][gone]
    deployed["Resources"]["ByHand"] = {"Type": "AWS::SQS::Queue"}

    found = drift({"c": Template("c", wanted)}, {"c": Template("c", deployed)})

    assert {fault.subject: fault.explanation.split(";")[0] for fault in found} == {
        changed: "Deployed with other properties than committed",
        gone: "Committed but not deployed",
        "ByHand": "Deployed but not committed",
    }


def test_a_stack_that_is_not_deployed_is_drift() -> None:
    (fault,) = drift({"c": Template("c", load("collector"))}, {})

    assert fault.explanation.startswith("The stack is committed but not deployed")


def test_the_command_explains_each_finding_and_ends_well_without_an_error() -> None:
    answer = CliRunner().invoke(build_app(), ["doctor", "--env", "prod"])

    assert answer.exit_code == 0
    assert "alarm address: quarry-prod@example.com in Quarry-Shared-prod" in answer.output
    assert "set alarm_email in infra/settings.py" in answer.output


def test_the_command_prints_one_json_document() -> None:
    answer = CliRunner().invoke(build_app(), ["doctor", "--env", "dev", "--json"])

    assert [fault["rule"] for fault in json.loads(answer.output)] == ["alarm address"]

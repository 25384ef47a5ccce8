"""Everything that is asked of a fresh synthesis, in one file: it is made once, in seconds."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from infra.findings import accepted, accepted_for_task, findings_of
from infra.names import ENVIRONMENTS, Environment
from infra.settings import EDITIONS, Edition, settings_for, with_collector_task
from infra.synth import Synthesis, drift, synthesise
from infra.template import Template
from infra.templates import template_paths
from ops.stack.home import ROOT
from tests.infra.network_interfaces import NETWORK_INTERFACES

Fresh = Mapping[Edition, Synthesis]


@pytest.fixture(scope="module")
def fresh() -> Fresh:
    """Every edition as the app makes it now, with what the rule packs say."""
    return synthesise(*EDITIONS, rules=True)


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_the_committed_templates_are_what_the_app_makes(env: Environment, fresh: Fresh) -> None:
    assert drift(env, fresh[env].templates) == ""


def test_a_changed_template_is_shown_as_a_difference() -> None:
    committed = {name: path.read_text() for name, path in template_paths("local").items()}
    stack = "Quarry-Loader-local"
    fresh = committed | {stack: committed[stack].replace('"VisibilityTimeout": 30', "?")}

    assert '-    "VisibilityTimeout": 30\n+    ?\n' in drift("local", fresh)


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_cdk_nag_and_cdk_validation_find_only_what_is_explained(
    env: Environment, fresh: Fresh
) -> None:
    assert findings_of(fresh[env].report) == set(accepted(env))


def test_the_collector_as_a_task_adds_only_explained_findings(fresh: Fresh) -> None:
    found = findings_of(fresh["prod-collector-task"].report)

    assert found <= {*accepted("prod"), *accepted_for_task("prod")}
    assert found >= set(accepted_for_task("prod"))


def test_the_collector_as_a_task_is_the_same_image_with_a_read_only_root(fresh: Fresh) -> None:
    text = fresh["prod-collector-task"].templates["Quarry-Collector-prod"]
    template = Template("Quarry-Collector-prod", json.loads(text))
    (task,) = template.resources("AWS::ECS::TaskDefinition")
    (container,) = task.properties["ContainerDefinitions"]

    assert template.resources("AWS::Lambda::Function") == []
    assert template.text(container["Image"]).endswith("/quarry-prod-collector:{ImageTag}")
    assert container["EntryPoint"] == ["python", "-m", "services.collector.main"]
    assert container["ReadonlyRootFilesystem"] is True
    assert container["MountPoints"] == [
        {"ContainerPath": "/tmp", "ReadOnly": False, "SourceVolume": "tmp"}  # noqa: S108  # the container's own
    ]
    assert task.properties["Volumes"] == [{"Name": "tmp"}]
    assert task.properties["EphemeralStorage"] == {"SizeInGiB": 21}
    # Nobody but the image says who it runs as.
    assert "User" not in container
    image = (ROOT / "services/collector/Dockerfile").read_text()
    assert image.count("\nUSER ") == 1
    assert "--uid 10001" in image
    assert "\nUSER 10001\n" in image


def test_the_collector_as_a_task_calls_the_web_and_databases_and_nothing_calls_it(
    fresh: Fresh,
) -> None:
    text = fresh["prod-collector-task"].templates["Quarry-Collector-prod"]
    template = Template("Quarry-Collector-prod", json.loads(text))
    (group,) = template.resources("AWS::EC2::SecurityGroup")

    assert [rule["ToPort"] for rule in group.properties["SecurityGroupEgress"]] == [443, 5432]
    assert "SecurityGroupIngress" not in group.properties


def test_the_collector_as_a_task_may_do_what_its_function_may(fresh: Fresh) -> None:
    function = fresh["prod"].templates["Quarry-Collector-prod"]
    task = fresh["prod-collector-task"].templates["Quarry-Collector-prod"]

    of_function = _permissions(function, "FunctionRole")
    of_task = _permissions(task, "TaskRole")

    only_lambda = {action for action, _ in of_function - of_task}
    assert of_task - of_function == set()
    assert only_lambda == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "sqs:GetQueueUrl",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }


def test_tables_in_another_account_are_read_by_its_role_and_no_other_way(fresh: Fresh) -> None:
    role = "arn:aws:iam::111122223333:role/quarry-reads-invoices"
    own = fresh["prod"].templates["Quarry-Collector-prod"]
    text = fresh["prod-other-account"].templates["Quarry-Collector-prod"]
    (function,) = Template("Quarry-Collector-prod", json.loads(text)).resources(
        "AWS::Lambda::Function"
    )
    variables = function.properties["Environment"]["Variables"]

    more = _permissions(text, "FunctionRole") - _permissions(own, "FunctionRole")
    less = _permissions(own, "FunctionRole") - _permissions(text, "FunctionRole")

    assert more == {("sts:AssumeRole", role)}
    assert {action for action, _ in less} == {"dynamodb:DescribeTable", "dynamodb:Scan"}
    assert json.loads(variables["QUARRY_DYNAMODB"]) == {"invoices": {"role_arn": role}}


def test_the_collector_in_a_network_of_yours_gets_its_place_there_and_nothing_else(
    fresh: Fresh,
) -> None:
    outside = fresh["prod"].templates
    inside = fresh["prod-collector-network"].templates
    template = Template("Quarry-Collector-prod", json.loads(inside["Quarry-Collector-prod"]))
    (function,) = template.resources("AWS::Lambda::Function")

    assert function.properties["VpcConfig"] == {
        "SecurityGroupIds": ["sg-0123456789abcdef0"],
        "SubnetIds": ["subnet-0123456789abcdef0", "subnet-0fedcba9876543210"],
    }
    gained = _permissions(inside["Quarry-Collector-prod"], "FunctionRole") - _permissions(
        outside["Quarry-Collector-prod"], "FunctionRole"
    )
    assert gained == NETWORK_INTERFACES
    assert {name for name in outside if outside[name] != inside[name]} == {"Quarry-Collector-prod"}
    found = findings_of(fresh["prod-collector-network"].report)
    assert found == set(accepted("prod"))


def test_a_task_cannot_join_the_functions_network() -> None:
    with pytest.raises(ValueError, match="network of its own"):
        with_collector_task(settings_for("prod-collector-network"))


def _permissions(text: str, role: str) -> set[tuple[str, str]]:
    template = Template("Quarry-Collector-prod", json.loads(text))
    (found,) = (r for r in template.resources("AWS::IAM::Role") if role in r.logical_id)
    return template.permissions(found.logical_id)


def test_cfn_lint_has_nothing_to_say() -> None:
    paths = [str(path) for env in ENVIRONMENTS for path in template_paths(env).values()]
    linter = Path(sys.executable).with_name("cfn-lint")

    linted = subprocess.run([linter, *paths], capture_output=True, text=True, check=False)  # noqa: S603  # our own files

    assert (linted.returncode, linted.stdout) == (0, "")

"""docs/operations.md says what is true of the templates."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from infra.names import Environment
from infra.settings import settings_for
from infra.template import Template
from ops.cost import estimate, workload_of

TEXT = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


def test_every_alarm_has_a_runbook(
    committed: Mapping[Environment, Mapping[str, Template]],
) -> None:
    headings = set(re.findall(r"^### (.+)$", TEXT, re.MULTILINE))
    described = {
        alarm.properties["AlarmDescription"].split(":")[0]
        for template in committed["prod"].values()
        for alarm in template.resources("AWS::CloudWatch::Alarm")
    }

    assert described == headings


@pytest.mark.parametrize(
    ("env", "workload", "hourly"),
    [
        ("prod", "as above", 1),
        ("prod", "no incremental loads", 0),
        ("dev", "as above", 1),
        ("dev", "no incremental loads", 0),
    ],
)
def test_the_stated_cost_is_what_the_script_derives(
    env: Environment,
    workload: str,
    hourly: int,
    committed: Mapping[Environment, Mapping[str, Template]],
) -> None:
    settings = settings_for(env)
    work = workload_of(settings, collections_a_year=4, hourly=hourly)
    dollars = sum(line.dollars for line in estimate(settings, committed[env], work))

    assert f"| {env} | {workload} | {dollars:.0f} |" in TEXT

import json
from typing import Any

import pytest

from infra.templates import template_paths
from ops.stack.resources import without

TEMPLATES = {name: json.loads(path.read_text()) for name, path in template_paths("local").items()}


def test_what_refers_to_a_lost_resource_is_left_out_too_however_indirectly() -> None:
    resources: dict[str, Any] = {
        "Lost": {"Type": "AWS::SQS::Queue"},
        "Direct": {"Properties": {"Target": {"Fn::GetAtt": ["Lost", "Arn"]}}},
        "Indirect": {"Properties": {"List": [{"Ref": "Direct"}]}},
        "Ordered": {"DependsOn": ["Indirect"]},
        "Apart": {"Properties": {"Name": "Lost"}},
    }
    assert set(without(resources, {"Lost"})) == {"Apart"}


@pytest.mark.parametrize("stack", TEMPLATES)
def test_no_template_of_ours_keeps_a_reference_to_something_left_out(stack: str) -> None:
    resources = TEMPLATES[stack]["Resources"]
    for lost in resources:
        kept = without(resources, {lost})
        named = {name for name in resources if f'"{name}"' in json.dumps(kept)}
        assert named <= set(kept)

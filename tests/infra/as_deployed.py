"""A dev template as the emulator can run it: the same resources, functions from this source tree.

An image is a source tree, its packages and a handler's name. Here the tree is the repository and
the packages are the test's own, so the function is a few lines that import the same handler.
"""

import json
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# What the emulator cannot make; nothing that carries a message or holds data is among them. The
# synthesised templates are what tests/infra otherwise has to say about these.
_LEFT_OUT = frozenset(
    {
        "AWS::EC2::FlowLog",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::Events::Archive",
        "AWS::SecretsManager::ResourcePolicy",
        "AWS::SecretsManager::RotationSchedule",
    }
)


# The emulator's own AWS library is loaded before the function; the function has another one.
_BOOTSTRAP = """
import sys
sys.path[:0] = {paths}
for loaded in [module for module in sys.modules if module.split(".")[0] in ("boto3", "botocore")]:
    del sys.modules[loaded]
from {module} import {name} as handler
"""


def for_emulator(template: str, *, variables: Mapping[str, str]) -> str:
    """Return the template with image functions replaced; each gets `variables` as well."""
    document: dict[str, Any] = json.loads(template)
    document["Resources"] = {
        logical_id: _function(resource, variables)
        if resource["Type"] == "AWS::Lambda::Function"
        else resource
        for logical_id, resource in document["Resources"].items()
        if resource["Type"] not in _LEFT_OUT
    }
    return json.dumps(document)


def _function(resource: dict[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    properties = dict(resource["Properties"])
    (handler,) = properties.pop("ImageConfig")["Command"]
    module, name = handler.rsplit(".", 1)
    properties |= {
        "PackageType": "Zip",
        "Runtime": "python3.11",
        "Handler": "index.handler",
        "Code": {
            "ZipFile": _BOOTSTRAP.format(
                paths=[str(ROOT), sysconfig.get_path("purelib")], module=module, name=name
            )
        },
        "Environment": {"Variables": properties["Environment"]["Variables"] | variables},
    }
    return {**resource, "Properties": properties}

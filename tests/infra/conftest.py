"""The committed templates, read once, and the emulator with what they describe."""

import json
from collections.abc import Mapping

import pytest

from infra.names import ENVIRONMENTS, Environment
from infra.template import Template
from infra.templates import template_paths
from tests.infra.emulator import Emulator


@pytest.fixture(scope="session")
def committed() -> Mapping[Environment, Mapping[str, Template]]:
    """Environment -> stack name -> committed template; `test_synthesis.py` proves them fresh."""
    return {
        env: {
            name: Template(name, json.loads(path.read_text()))
            for name, path in template_paths(env).items()
        }
        for env in ENVIRONMENTS
    }


@pytest.fixture(scope="module")
def emulator_of_local(emulator_url: str) -> Emulator:
    """The file's emulator, which has the resources of `local`."""
    return Emulator(emulator_url)

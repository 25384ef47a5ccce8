"""The committed templates, read once; `test_synthesis.py` proves that they are fresh."""

import json
from collections.abc import Mapping

import pytest

from infra.names import ENVIRONMENTS, Environment
from infra.template import Template
from infra.templates import template_paths


@pytest.fixture(scope="session")
def committed() -> Mapping[Environment, Mapping[str, Template]]:
    """Environment -> stack name -> committed template."""
    return {
        env: {
            name: Template(name, json.loads(path.read_text()))
            for name, path in template_paths(env).items()
        }
        for env in ENVIRONMENTS
    }

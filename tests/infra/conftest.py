"""Synthesis takes seconds, so each environment is synthesised once and read by every test."""

import json
from collections.abc import Mapping

import pytest

from infra.names import ENVIRONMENTS, Environment
from infra.synth import synthesise
from infra.template import Template
from infra.templates import template_paths


@pytest.fixture(scope="session")
def fresh() -> Mapping[Environment, Mapping[str, str]]:
    """Environment -> stack name -> template text as the app makes it now."""
    return {env: synthesise(env) for env in ENVIRONMENTS}


@pytest.fixture(scope="session")
def committed() -> Mapping[Environment, Mapping[str, Template]]:
    """Environment -> stack name -> committed template; `test_templates` proves them fresh."""
    return {
        env: {
            name: Template(name, json.loads(path.read_text()))
            for name, path in template_paths(env).items()
        }
        for env in ENVIRONMENTS
    }

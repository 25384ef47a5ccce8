"""Synthesis takes seconds, so each environment is synthesised once and read by every test."""

import json
from collections.abc import Mapping

import pytest

from infra.names import ENVIRONMENTS, Environment
from infra.synth import Synthesis, synthesise
from infra.template import Template
from infra.templates import template_paths


@pytest.fixture(scope="session")
def fresh() -> Mapping[Environment, Synthesis]:
    """Every environment as the app makes it now, with what the rule packs say."""
    return synthesise(*ENVIRONMENTS, rules=True)


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

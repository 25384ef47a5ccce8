"""The requests that reach the generator's queue without a service sending them."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from jsonschema import Draft202012Validator

from contracts.export import published_schemas
from contracts.openapi import openapi_document
from contracts.reading import read
from infra.templates import template_paths
from ops.stack.services import service_programs
from services.generator.api import Api
from services.generator.main import open_api
from tests.contracts.running_services import RunningServices

SCHEMA = published_schemas()["GenerateRequest.v1"]
ENVELOPED = Draft202012Validator(SCHEMA)
BARE = Draft202012Validator({"$ref": "#/$defs/GenerateRequest", "$defs": SCHEMA["$defs"]})
OPENAPI = openapi_document()
QUARTER = {
    "dataset": "call_reports",
    "start_year": 2013,
    "start_quarter": 1,
    "end_year": 2013,
    "end_quarter": 1,
}


def answers(path: str, method: str, status: int) -> Draft202012Validator:
    """Return what checks an answer of the REST entry against the OpenAPI document."""
    answer = OPENAPI["paths"][path][method]["responses"][str(status)]
    schema = answer["content"]["application/json"]["schema"]
    return Draft202012Validator({**schema, "components": OPENAPI["components"]})


def scheduled() -> list[str]:
    resources = [
        resource
        for path in template_paths("prod").values()
        for resource in json.loads(path.read_text())["Resources"].values()
    ]
    return [
        resource["Properties"]["Target"]["Input"]
        for resource in resources
        if resource["Type"] == "AWS::Scheduler::Schedule"
    ]


def test_what_the_schedule_sends_follows_the_published_schema() -> None:
    assert scheduled()
    for text in scheduled():
        # Scheduler puts the planned moment into its place.
        body = text.replace("<aws.scheduler.scheduled-time>", "2026-11-15T12:00:00Z")
        BARE.validate(json.loads(body))
        assert read("GenerateRequest", body).refused is None


@pytest.fixture
async def entry(services: RunningServices, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    """The REST entry with the generator's environment."""
    programs = service_programs(services.endpoint, services.database_url, services.portal_url)
    generator = next(program for program in programs if program.part == "generator")
    for name, value in generator.variables.items():
        monkeypatch.setenv(name, value)
    services.drain("generator")
    async with open_api() as api:
        yield api


def post(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "httpMethod": "POST",
        "body": json.dumps(body),
        "requestContext": {"requestId": uuid4().hex},
    }


async def test_what_the_rest_entry_sends_and_answers_is_as_published(
    services: RunningServices, entry: Api
) -> None:
    response = await entry.answer(post(QUARTER))

    answers("/runs", "post", response["statusCode"]).validate(json.loads(response["body"]))
    (message,) = services.receive(services.queue_url("generator"))
    ENVELOPED.validate(json.loads(message["Body"]))
    assert response["statusCode"] == 202


async def test_a_refusal_of_the_rest_entry_is_as_published(entry: Api) -> None:
    response = await entry.answer(post(QUARTER | {"start_quarter": 5}))
    assert response["statusCode"] == 400
    answers("/runs", "post", 400).validate(json.loads(response["body"]))


async def test_the_status_of_a_run_is_as_published(services: RunningServices, entry: Api) -> None:
    accepted = json.loads((await entry.answer(post(QUARTER)))["body"])
    (message,) = services.receive(services.queue_url("generator"))
    await asyncio.to_thread(services.treat, "generator", message["Body"])

    response = await entry.answer(
        {"httpMethod": "GET", "pathParameters": {"run_id": accepted["run_id"]}}
    )
    unknown = await entry.answer({"httpMethod": "GET", "pathParameters": {"run_id": uuid4().hex}})

    assert (response["statusCode"], unknown["statusCode"]) == (200, 404)
    answers("/runs/{run_id}", "get", 200).validate(json.loads(response["body"]))
    answers("/runs/{run_id}", "get", 404).validate(json.loads(unknown["body"]))

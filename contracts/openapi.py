"""The OpenAPI document of the REST entry."""

from typing import Any

from pydantic.json_schema import models_json_schema

from contracts.messages import GenerateRequest
from contracts.rest import Refusal, RunAccepted, RunStatus

Json = dict[str, Any]


def _json(model: str) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{model}"}}}


_NOT_REACHABLE: Json = {
    "description": "Queue or run log do not answer; try again.",
    "content": _json("Refusal"),
}


def openapi_document() -> Json:
    """Return OpenAPI 3.1, whose schemas are JSON Schema 2020-12 like the published ones."""
    models = (GenerateRequest, RunAccepted, RunStatus, Refusal)
    _, definitions = models_json_schema(
        [(model, "validation") for model in models],
        ref_template="#/components/schemas/{model}",
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Quarry runs",
            "version": "1.0.0",
            "description": "Starts runs and tells how far they are. Requests are signed with IAM.",
        },
        "paths": {
            "/runs": {"post": _start_run()},
            "/runs/{run_id}": {"get": _run_status()},
        },
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "sigv4": {
                    "type": "apiKey",
                    "name": "Authorization",
                    "in": "header",
                    "description": "AWS Signature Version 4, permission execute-api:Invoke.",
                }
            },
        },
        "security": [{"sigv4": []}],
    }


def _start_run() -> Json:
    return {
        "operationId": "startRun",
        "summary": "Put a request into the generator's queue",
        "requestBody": {"required": True, "content": _json("GenerateRequest")},
        "responses": {
            "202": {"description": "Accepted.", "content": _json("RunAccepted")},
            "400": {"description": "It cannot be done.", "content": _json("Refusal")},
            "503": _NOT_REACHABLE,
        },
    }


def _run_status() -> Json:
    return {
        "operationId": "runStatus",
        "summary": "Tell how far a run is",
        "parameters": [
            {
                "name": "run_id",
                "in": "path",
                "required": True,
                "description": "What `POST /runs` answered.",
                "schema": {"$ref": "#/components/schemas/RunAccepted/properties/run_id"},
            }
        ],
        "responses": {
            "200": {"description": "The run's status.", "content": _json("RunStatus")},
            "404": {"description": "Nobody knows this run yet.", "content": _json("Refusal")},
            "503": _NOT_REACHABLE,
        },
    }

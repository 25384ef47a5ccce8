"""The REST entry: `POST /runs` and `GET /runs/{run_id}`, behind API Gateway's Lambda proxy."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts import Envelope, GenerateRequest, InvalidMessage, StepRecord, open_request
from contracts.model import Contract
from contracts.rest import Refusal, RunAccepted, RunStatus
from services.generator.generate import folders_of
from shared.errors import InvalidRequest, TransientError
from shared.log import log

Event = dict[str, Any]


@dataclass(frozen=True)
class Api:
    """What the entry needs: a way to the generator queue, a way to the run log, a clock."""

    send: Callable[[Envelope[GenerateRequest]], Awaitable[None]]
    steps: Callable[[str], Awaitable[Sequence[StepRecord]]]
    now: Callable[[], datetime]
    max_periods: int

    async def answer(self, event: Event) -> dict[str, Any]:
        """Answer one request; `event` is API Gateway's proxy event, version 1.0.

        The shape is AWS's: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
        """
        try:
            if event["httpMethod"] == "POST":
                return await self._start(_body(event), event["requestContext"]["requestId"])
            return await self._status(event["pathParameters"]["run_id"])
        except TransientError as error:
            log.warning("request_not_answered", reason=str(error))
            return _response(503, Refusal(reason="not reachable for the moment; try again"))

    async def _start(self, body: str, request_id: str) -> dict[str, Any]:
        try:
            envelope = open_request(body, GenerateRequest, message_id=request_id)
            folders_of(envelope.payload, moment=self.now(), max_periods=self.max_periods)
        except (InvalidMessage, InvalidRequest) as error:
            return _response(400, Refusal(reason=str(error)))
        await self.send(envelope)
        log.info("run_accepted", run_id=envelope.run_id)
        return _response(202, RunAccepted(run_id=envelope.run_id))

    async def _status(self, run_id: str) -> dict[str, Any]:
        steps = await self.steps(run_id)
        if not steps:
            reason = f"run {run_id} is unknown, or its request still waits in the queue"
            return _response(404, Refusal(reason=reason))
        return _response(200, RunStatus(run_id=run_id, steps=tuple(steps)))


class ApiHandler:
    """The entry Lambda calls. Clients open at the first request and stay for warm invocations."""

    def __init__(self, open_api: Callable[[], AbstractAsyncContextManager[Api]]) -> None:
        self._open_api = open_api
        self._loop: asyncio.AbstractEventLoop | None = None
        self._api: Api | None = None

    def __call__(self, event: Event, context: object) -> dict[str, Any]:
        """Answer one request."""
        del context  # API Gateway gives up long before the function does
        if self._loop is None or self._api is None:
            self._loop = asyncio.new_event_loop()
            opening = AsyncExitStack().enter_async_context(self._open_api())
            self._api = self._loop.run_until_complete(opening)
        return self._loop.run_until_complete(self._api.answer(event))


def _body(event: Event) -> str:
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        return base64.b64decode(body).decode("utf-8", errors="replace")
    return str(body)


def _response(status: int, body: Contract) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": body.model_dump_json(exclude_none=True),
    }

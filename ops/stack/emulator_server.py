"""The emulator, made to survive `kill -9`. Runs by path in `.venv-emulator`, never imported.

The vendor saves its state at an orderly end only. Here, what a client was told has happened is on
disk before the answer leaves: queues are saved with every send and delete, table writes go to a
journal, and the rest is saved a moment after it changed. (Objects are files anyway.)

It also answers the one metric of SQS that no queue attribute gives, the age of the oldest message.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, MutableMapping
from importlib import import_module
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve  # type: ignore[import-not-found]  # only in .venv-emulator
from hypercorn.config import Config  # type: ignore[import-not-found]  # only in .venv-emulator

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_QUEUE_CHANGES = frozenset(
    f"AmazonSQS.{action}"
    for action in ("SendMessage", "SendMessageBatch", "DeleteMessage", "DeleteMessageBatch")
) | {"AWSEvents.PutEvents"}
_TABLE_CHANGES = frozenset(
    f"DynamoDB_20120810.{action}"
    for action in ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems")
)
_FREQUENT_READS = frozenset(
    {"AmazonSQS.ReceiveMessage", "AmazonSQS.GetQueueAttributes", "AmazonSQS.GetQueueUrl"}
    | {"DynamoDB_20120810.Query", "DynamoDB_20120810.GetItem", "DynamoDB_20120810.Scan"}
    | {"DynamoDB_20120810.DescribeTable", "DynamoDB_20120810.ListTables"}
)
_METRICS_ASKED = b"Action=GetMetricData"
# Answers that wait for a save share it when they come this close together.
_TOGETHER_SECONDS = 0.003
_SETTLED_SECONDS = 0.5
_JOURNAL_BYTES = 4 * 1024 * 1024


class DurableEmulator:
    """The vendor's ASGI application with state written before each answer."""

    def __init__(self, state: Path) -> None:
        self._vendor = import_module("ministack.app")
        self._persistence = import_module("ministack.core.persistence")
        self._journal_path = state / "dynamodb.journal"
        self._tables_path = state / "dynamodb.json"
        self._queues_saved: asyncio.Future[None] | None = None
        self._settling: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or start and end with the server."""
        if scope["type"] == "lifespan":
            await self._vendor.app(scope, receive, self._replay_before(send))
            # The vendor has saved everything: what the journal holds is in there.
            self._journal_path.unlink(missing_ok=True)
            return
        target = _header(scope, b"x-amz-target")
        if target in _TABLE_CHANGES:
            body, receive = await _read_body(receive)
            send = self._journal_before(send, target, body)
        elif target in _QUEUE_CHANGES:
            send = self._save_queues_before(send)
        elif not target and "form-urlencoded" in _header(scope, b"content-type"):
            body, receive = await _read_body(receive)
            if _METRICS_ASKED in body:
                _tell_ages()
            else:
                self._save_everything_soon()
        elif _is_drop(scope) or (target not in _FREQUENT_READS and scope.get("method") == "POST"):
            self._save_everything_soon()
        await self._vendor.app(scope, receive, send)

    def _save_queues_before(self, send: Send) -> Send:
        async def send_saved(message: Message) -> None:
            if message["type"] == "http.response.start":
                if self._queues_saved is None:
                    loop = asyncio.get_running_loop()
                    self._queues_saved = loop.create_future()
                    loop.call_later(_TOGETHER_SECONDS, self._save_queues)
                await asyncio.shield(self._queues_saved)
            await send(message)

        return send_saved

    def _save_queues(self) -> None:
        waiting, self._queues_saved = self._queues_saved, None
        self._persistence.save_state("sqs", import_module("ministack.services.sqs").get_state())
        if waiting is not None:
            waiting.set_result(None)

    def _journal_before(self, send: Send, target: str, body: bytes) -> Send:
        async def send_journalled(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry = json.dumps({"target": target, "body": body.decode()})
                with self._journal_path.open(
                    "a"
                ) as journal:  # no fsync: the page cache survives a kill
                    journal.write(entry + "\n")
                    grown = journal.tell() > self._journal_limit()
                if grown:
                    self._save_everything()
            await send(message)

        return send_journalled

    def _journal_limit(self) -> int:
        """Return what the journal may hold: as much as is saved, so that filling stays linear."""
        try:
            return max(_JOURNAL_BYTES, self._tables_path.stat().st_size)
        except FileNotFoundError:
            return _JOURNAL_BYTES

    def _save_everything_soon(self) -> None:
        if self._settling is None:
            loop = asyncio.get_running_loop()
            self._settling = loop.call_later(_SETTLED_SECONDS, self._save_everything)

    def _save_everything(self) -> None:
        self._settling = None
        self._persistence.save_all(self._vendor._build_persistence_save_dict())  # noqa: SLF001  # pinned version, no public way
        self._journal_path.unlink(missing_ok=True)

    def _replay_before(self, send: Send) -> Send:
        async def send_replayed(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                await self._replay()
            await send(message)

        return send_replayed

    async def _replay(self) -> None:
        if not self._journal_path.exists():
            return
        for line in self._journal_path.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:  # the last line, cut off by the kill: nobody got its answer
                continue
            await self._ask_vendor(entry["target"], entry["body"].encode())
        self._save_everything()

    async def _ask_vendor(self, target: str, body: bytes) -> None:
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "headers": [
                (b"x-amz-target", target.encode()),
                (b"content-type", b"application/x-amz-json-1.0"),
                (b"host", b"127.0.0.1"),
                (b"content-length", str(len(body)).encode()),
            ],
        }

        async def discard(message: Message) -> None:
            del message

        await self._vendor.app(scope, _replay_body(body), discard)


def _tell_ages() -> None:
    """Give CloudWatch each queue's `ApproximateAgeOfOldestMessage`, in place of the last one."""
    queues = import_module("ministack.services.sqs")._queues  # noqa: SLF001  # pinned version, no public way
    metrics = import_module("ministack.services.cloudwatch")._metrics  # noqa: SLF001  # the same
    now = time.time()
    for (account, region, _), queue in list(queues.all_items()):
        age = now - min((message["sent_at"] for message in queue["messages"]), default=now)
        key = ("AWS/SQS", "ApproximateAgeOfOldestMessage", f"QueueName={queue['name']}")
        point = {"Timestamp": now, "Unit": "Seconds", "Value": age}
        point["Dimensions"] = {"QueueName": queue["name"]}
        metrics.set_scoped(account, region, key, [point])


def _is_drop(scope: Scope) -> bool:
    """Say whether an object goes to an inbox: a moment later its event is a message in a queue."""
    return scope.get("method") == "PUT" and "/inbox/" in scope.get("path", "")


def _header(scope: Scope, wanted: bytes) -> str:
    for name, value in scope.get("headers", ()):
        if name.lower() == wanted:
            text: str = value.decode()
            return text
    return ""


async def _read_body(receive: Receive) -> tuple[bytes, Receive]:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = b"".join(parts)
    return body, _replay_body(body, receive)


def _replay_body(body: bytes, then: Receive | None = None) -> Receive:
    told = False

    async def receive() -> Message:
        nonlocal told
        if told and then is not None:
            return await then()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def main() -> None:
    """Serve on 127.0.0.1 until SIGTERM; port and state folder come from the environment."""
    config = Config()
    config.bind = [f"127.0.0.1:{os.environ['GATEWAY_PORT']}"]
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)

    async def stopped() -> None:
        await stopping.wait()

    await serve(DurableEmulator(Path(os.environ["STATE_DIR"])), config, shutdown_trigger=stopped)


if __name__ == "__main__":
    asyncio.run(main())

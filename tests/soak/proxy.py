"""A proxy between a loader and PostgreSQL that knows where in a load the conversation is."""

import asyncio
import struct
from collections.abc import Callable, Coroutine
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Literal

Moment = Literal["before_copy", "in_copy", "before_commit", "commit"]
Verdict = Literal["pass", "cut", "hold"]

_TLS_QUESTION = 80877103
_CHUNK = 65_536


@dataclass
class Proxy:
    """Forwards bytes and calls `at` when a named moment comes.

    `before_copy` and `before_commit` come before the statement is forwarded, `in_copy` after the
    first rows have been, `commit` when the server has answered a COMMIT and the loader has not
    seen it. `cut` ends both sides; `hold` forwards nothing more until `resume` is called.
    """

    port: int
    at: Callable[[Moment], Coroutine[None, None, Verdict]]
    released: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _closed: bool = False
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _moments: list[asyncio.Task[Verdict]] = field(default_factory=list)

    async def open(self) -> int:
        """Listen on a free port of 127.0.0.1 and return it."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Stop listening, end every conversation and wait for what `at` has begun."""
        if self._server is not None:
            self._server.close()
        self._closed = True
        # Who was let in a moment ago has not been heard of yet.
        await asyncio.sleep(0)
        self.released.set()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # One that outlives its conversation would strike whatever comes next on this server.
        await asyncio.gather(*self._moments)

    async def reach(self, moment: Moment) -> Verdict:
        """Call `at`; a hang-up ends the conversation meanwhile, but not what was begun."""
        task = asyncio.create_task(self.at(moment))
        self._moments.append(task)
        return await asyncio.shield(task)

    def resume(self) -> None:
        """Let a held conversation go on."""
        self.released.set()

    async def _accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with closing(to_client), suppress(asyncio.CancelledError, OSError):
            if self._closed:
                return
            server, to_server = await asyncio.open_connection("127.0.0.1", self.port)
            with closing(to_server):
                await _Conversation(self, client, to_client, server, to_server).run()


class _Cut(Exception):  # a signal to end the conversation, no failure
    pass


@dataclass
class _Conversation:
    proxy: Proxy
    client: asyncio.StreamReader
    to_client: asyncio.StreamWriter
    server: asyncio.StreamReader
    to_server: asyncio.StreamWriter
    copied: int = 0
    awaiting_commit: bool = False

    async def run(self) -> None:
        answers = asyncio.create_task(self._answers())
        questions = asyncio.create_task(self._questions())
        try:
            await asyncio.wait({answers, questions}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (answers, questions):
                task.cancel()
            await asyncio.gather(answers, questions, return_exceptions=True)

    async def _questions(self) -> None:
        code = _TLS_QUESTION
        while code == _TLS_QUESTION:
            (length,) = struct.unpack("!i", head := await self.client.readexactly(4))
            body = await self.client.readexactly(length - 4)
            (code,) = struct.unpack("!i", body[:4])
            await self._forward(head + body)
        while True:
            head = await self.client.readexactly(5)
            (length,) = struct.unpack("!i", head[1:])
            body = await self.client.readexactly(length - 4)
            await self._before(head[:1], body)
            await self._forward(head + body)
            await self._after(head[:1])

    async def _before(self, kind: bytes, body: bytes) -> None:
        if kind != b"Q":
            return
        if body.startswith(b"COPY"):
            self.copied = 0
            await self._moment("before_copy")
        elif body.startswith(b"COMMIT"):
            await self._moment("before_commit")
            self.awaiting_commit = True

    async def _after(self, kind: bytes) -> None:
        if kind == b"d":
            self.copied += 1
            if self.copied == 2:  # the header came first
                await self._moment("in_copy")

    async def _answers(self) -> None:
        while data := await self.server.read(_CHUNK):
            if self.awaiting_commit:
                self.awaiting_commit = False
                await self._moment("commit")
            self.to_client.write(data)
            await self.to_client.drain()

    async def _forward(self, data: bytes) -> None:
        self.to_server.write(data)
        await self.to_server.drain()

    async def _moment(self, moment: Moment) -> None:
        verdict = await self.proxy.reach(moment)
        if verdict == "cut":
            raise _Cut
        if verdict == "hold":
            await self.proxy.released.wait()

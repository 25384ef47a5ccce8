"""Lambda's Runtime API, as small as it gets: hands events to a real runtime client and waits.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import math
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psutil

from ops.stack.home import ROOT

_ANSWER_SECONDS = 120
_FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:under-test"


class HandlerFailed(AssertionError):
    """The handler or its import raised, as the runtime client reported it, or was too late."""


@dataclass(frozen=True)
class _Outcome:
    kind: str
    body: Any
    seconds_late: float


@dataclass(frozen=True)
class Traces:
    """Files in /tmp, processes beside the handler's own, TCP connections and all descriptors.

    Those to AWS are not counted: clients keep as many as were ever used side by side.
    """

    files: list[str]
    processes: list[str]
    connections: int
    descriptors: int

    def has_grown_from(self, before: "Traces") -> bool:
        """Say whether there is more of anything than before."""
        return (
            not {*self.files} <= {*before.files}
            or not {*self.processes} <= {*before.processes}
            or self.descriptors > before.descriptors
        )


@dataclass
class LambdaProcess:
    """A warm execution environment: one process, one event at a time."""

    process: psutil.Process
    folder: Path
    events: "queue.Queue[tuple[str, float, Any]]"
    outcomes: "queue.Queue[_Outcome]"

    def invoke(self, event: Any, *, seconds_left: float = 60) -> Any:
        """Return what the handler returns for `event` with so much time on the clock.

        Raises:
            HandlerFailed: it raised, or answered when Lambda would have ended it already.
        """
        self.events.put((str(uuid4()), seconds_left, event))
        outcome = self._outcome()
        if outcome.seconds_late > 0:
            raise HandlerFailed(f"answered {outcome.seconds_late:.1f} s after its deadline")
        if outcome.kind != "response":
            raise HandlerFailed(f"{outcome.kind}: {outcome.body}")
        return outcome.body

    def traces(self) -> Traces:
        """Return what invocations have left in this environment so far."""
        aws = urlsplit(self.process.environ()["AWS_ENDPOINT_URL"]).port
        connections = [one for one in self.process.net_connections("tcp") if one.raddr]
        pooled = sum(one.raddr.port == aws for one in connections)
        return Traces(
            files=sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*")),
            processes=self._processes(),
            connections=len(connections) - pooled,
            descriptors=self.process.num_fds() - pooled,
        )

    def _processes(self) -> list[str]:
        children = self.process.children(recursive=True)
        found = {child.pid: child.name() for child in children}
        # One whose parent is gone is known by the environment that it inherited.
        for other in psutil.process_iter():
            try:
                if other.environ().get("HOME") == str(self.folder):
                    found[other.pid] = other.name()
            except psutil.Error:  # ended meanwhile, or another user's
                continue
        return [f"{name} {pid}" for pid, name in found.items() if pid != self.process.pid]

    def _outcome(self) -> _Outcome:
        deadline = time.monotonic() + _ANSWER_SECONDS
        while time.monotonic() < deadline:
            try:
                return self.outcomes.get(timeout=1)
            except queue.Empty:
                if self.process.status() == psutil.STATUS_ZOMBIE:
                    raise HandlerFailed("the process ended without an answer") from None
        raise HandlerFailed(f"no answer in {_ANSWER_SECONDS} s")


@dataclass
class _Server(ThreadingHTTPServer):
    events: "queue.Queue[tuple[str, float, Any]]" = field(default_factory=queue.Queue)
    outcomes: "queue.Queue[_Outcome]" = field(default_factory=queue.Queue)
    deadline: float = math.inf
    daemon_threads = True

    def __post_init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _RuntimeApi)


class _RuntimeApi(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        request_id, seconds_left, event = self.server.events.get()
        # The clock starts when the environment takes the event: its start-up is not billed to it.
        self.server.deadline = time.time() + seconds_left
        body = json.dumps(event).encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", request_id)
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int(self.server.deadline * 1000)))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", _FUNCTION)
        # Without these two the runtime client reads a null pointer.
        self.send_header("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"null")
        late = time.time() - self.server.deadline
        self.server.outcomes.put(_Outcome(self.path.rsplit("/", 1)[-1], body, late))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing: the handler's own log is what matters."""


@contextmanager
def running_handler(
    handler: str, variables: Mapping[str, str], folder: Path
) -> Iterator[LambdaProcess]:
    """Run `handler` under awslambdaric as its image does; its /tmp is `folder`."""
    server = _Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_address[1]}",
        "AWS_LAMBDA_FUNCTION_NAME": "under-test",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(folder),
        "HOME": str(folder),
        **variables,
    }
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # our own handler
            [sys.executable, "-m", "awslambdaric", handler],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        running = psutil.Process(process.pid)
        yield LambdaProcess(running, folder, server.events, server.outcomes)
    finally:
        process.kill()
        process.wait()
        server.shutdown()
        server.server_close()

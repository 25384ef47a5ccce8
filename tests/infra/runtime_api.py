"""Lambda's Runtime API, as small as it gets: hands events to a real runtime client and waits.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
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
from uuid import uuid4

import psutil

from ops.stack.home import ROOT

_ANSWER_SECONDS = 120
_FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:under-test"


class HandlerFailed(AssertionError):
    """The handler, or its import, raised; the text is what the runtime client reported."""


@dataclass(frozen=True)
class _Outcome:
    kind: str
    body: Any


@dataclass
class LambdaProcess:
    """A warm execution environment: one process, one event at a time."""

    process: psutil.Process
    events: "queue.Queue[tuple[str, float, Any]]"
    outcomes: "queue.Queue[_Outcome]"

    def invoke(self, event: Any, *, seconds_left: float = 60) -> Any:
        """Return what the handler returns for `event` with so much time on the clock."""
        self.events.put((str(uuid4()), time.time() + seconds_left, event))
        outcome = self._outcome()
        if outcome.kind != "response":
            raise HandlerFailed(f"{outcome.kind}: {outcome.body}")
        return outcome.body

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
    daemon_threads = True

    def __post_init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _RuntimeApi)


class _RuntimeApi(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        request_id, deadline, event = self.server.events.get()
        body = json.dumps(event).encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", request_id)
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int(deadline * 1000)))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", _FUNCTION)
        # Without these two the runtime client reads a null pointer.
        self.send_header("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"null")
        self.server.outcomes.put(_Outcome(self.path.rsplit("/", 1)[-1], body))
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
        yield LambdaProcess(psutil.Process(process.pid), server.events, server.outcomes)
    finally:
        process.kill()
        process.wait()
        server.shutdown()
        server.server_close()

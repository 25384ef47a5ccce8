"""An empty AWS emulator of a test's own, and boto3 clients that reach nothing else."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3

from infra.names import LOCAL_REGION
from ops.stack.emulator import emulator_program
from ops.stack.home import Home
from ops.stack.services import aws_variables
from ops.stack.supervise import free_port

_START_SECONDS = 60


@dataclass(frozen=True)
class Emulator:
    """A running emulator without any resources."""

    url: str

    @property
    def variables(self) -> dict[str, str]:
        """What another process needs in its environment to reach it."""
        return aws_variables(self.url)

    def client(self, service: str) -> Any:
        return _client(self.url, service)

    def queue_url(self, name: str) -> str:
        return str(self.client("sqs").get_queue_url(QueueName=name)["QueueUrl"])

    def receive(self, queue: str, *, wait_seconds: int = 2) -> list[Any]:
        response = self.client("sqs").receive_message(
            QueueUrl=self.queue_url(queue), WaitTimeSeconds=wait_seconds, MaxNumberOfMessages=10
        )
        return list(response.get("Messages", []))


@cache
def _client(url: str, service: str) -> Any:
    session = boto3.Session("test", "test", region_name=LOCAL_REGION)
    return session.client(service, endpoint_url=url)


@contextmanager
def empty_emulator(folder: Path) -> Iterator[Emulator]:
    """Start an emulator on a free port of 127.0.0.1, state in `folder`; end it afterwards."""
    program = emulator_program(Home(folder), free_port(None))
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), **program.variables}
    with (folder / "emulator.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # the project's own emulator
            program.command, env=variables, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not program.ready(""):
            assert process.poll() is None, (folder / "emulator.log").read_text()
            assert time.monotonic() < deadline, "the emulator does not answer"
            time.sleep(0.05)
        yield Emulator(f"http://127.0.0.1:{program.port}")
    finally:
        process.terminate()
        process.wait(timeout=30)

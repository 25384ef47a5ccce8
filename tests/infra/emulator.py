"""An AWS emulator of a test's own, and boto3 clients that reach nothing else."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import boto3

from infra.names import LOCAL_ACCOUNT, LOCAL_REGION

ROOT = Path(__file__).parents[2]
_START_SECONDS = 60


@dataclass(frozen=True)
class Emulator:
    """A running emulator; `environment` is what a process needs to reach it."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": LOCAL_REGION,
            "AWS_DEFAULT_REGION": LOCAL_REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }

    def client(self, service: str) -> Any:
        return _client(self.url, service)


@cache
def _client(url: str, service: str) -> Any:
    session = boto3.Session("test", "test", region_name=LOCAL_REGION)
    return session.client(service, endpoint_url=url)


@contextmanager
def running_emulator(folder: Path) -> Iterator[Emulator]:
    """Start the emulator on a free port of 127.0.0.1, state in `folder`; end it afterwards."""
    emulator = Emulator(_free_port())
    with (folder / "emulator.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # the project's own emulator
            [ROOT / ".venv-emulator" / "bin" / "python", "-m", "ministack"],
            cwd=folder,
            env={
                "PATH": os.environ["PATH"],
                "BIND_HOST": "127.0.0.1",
                "GATEWAY_PORT": str(emulator.port),
                "MINISTACK_ACCOUNT_ID": LOCAL_ACCOUNT,
                "MINISTACK_REGION": LOCAL_REGION,
                "IOT_MTLS_ENABLED": "0",
                "SFTP_ENABLED": "0",
                "S3_DATA_DIR": str(folder / "s3"),
                "STATE_DIR": str(folder / "state"),
                "TMPDIR": str(folder),
            },
            stdout=log,
            stderr=log,
        )
        try:
            _await_answer(emulator, process)
            yield emulator
        finally:
            process.terminate()
            process.wait(timeout=30)


def _await_answer(emulator: Emulator, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the emulator ended while starting"
        try:
            with urlopen(f"{emulator.url}/_ministack/ready", timeout=5):  # noqa: S310  # fixed address
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise AssertionError("the emulator does not answer")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

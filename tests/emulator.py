"""An emulator of one's own, with the local environment's queues, bucket and table in it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import boto3

from infra.names import LOCAL_REGION
from ops.stack.emulator import emulator_program
from ops.stack.home import Home
from ops.stack.resources import Resources
from ops.stack.services import aws_variables
from ops.stack.supervise import free_port

_START_SECONDS = 40


@contextmanager
def running_emulator(folder: Path) -> Iterator[str]:
    """Yield the endpoint of an emulator that ends with the block; state lies in `folder`."""
    program = emulator_program(Home(folder), free_port(None))
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), **program.variables}
    with (folder / "emulator.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # our own program
            program.command, env=variables, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        deadline = monotonic() + _START_SECONDS
        while not program.ready(""):
            assert process.poll() is None, (folder / "emulator.log").read_text()
            assert monotonic() < deadline, "the emulator does not answer"
            sleep(0.05)
        endpoint = f"http://127.0.0.1:{program.port}"
        Resources(local_session(), endpoint).ensure("local")
        yield endpoint
    finally:
        process.kill()
        process.wait()


def local_session() -> boto3.Session:
    """Return a session whose credentials only an emulator takes."""
    variables = aws_variables("")
    return boto3.Session(
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=LOCAL_REGION,
    )

"""How to run the AWS emulator: the vendor's server in a virtual environment of its own."""

import os
from pathlib import Path

import httpx

from infra.names import LOCAL_ACCOUNT, LOCAL_REGION
from ops.errors import CommandFailed
from ops.stack.home import ROOT, Home
from ops.stack.supervise import Program

_ANSWER_SECONDS = 10


def emulator_program(home: Home, port: int) -> Program:
    """Return the program; it listens on 127.0.0.1 only and has no authentication.

    Raises:
        CommandFailed: its virtual environment is missing.
    """
    python = Path(
        os.environ.get("QUARRY_EMULATOR_PYTHON") or ROOT / ".venv-emulator" / "bin" / "python"
    )
    if not python.exists():
        raise CommandFailed(f"{python} does not exist; run: make setup")
    temporary = home.data / "emulator-tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return Program(
        part="emulator",
        command=(str(python), str(ROOT / "ops" / "stack" / "emulator_server.py")),
        variables={
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_ACCOUNT_ID": LOCAL_ACCOUNT,
            "MINISTACK_REGION": LOCAL_REGION,
            "PERSIST_STATE": "1",
            "S3_PERSIST": "1",
            "STATE_DIR": str(home.data / "emulator"),
            "S3_DATA_DIR": str(home.data / "s3"),
            "TMPDIR": str(temporary),
            "LOG_LEVEL": "WARNING",
            # Listeners of services that Quarry does not use.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
        },
        ready=lambda _said: _answers(port),
        responds=lambda: _answers(port),
        port=port,
    )


def _answers(port: int) -> bool:
    try:
        response = httpx.get(
            f"http://127.0.0.1:{port}/_ministack/ready", timeout=_ANSWER_SECONDS, trust_env=False
        )
    except httpx.TransportError:
        return False
    return response.is_success

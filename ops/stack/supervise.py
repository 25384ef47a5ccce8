"""Starting, recognising and ending the stack's processes."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from ops.errors import CommandFailed
from ops.stack.home import ROOT, Home, PartName, PartRecord

# Every process of a stack, browsers included, carries these; a recycled pid does not.
_HOME_MARK = "QUARRY_STACK_HOME"
_PART_MARK = "QUARRY_STACK_PART"
_PASSED_ON = ("HOME", "LANG", "LC_ALL", "PATH", "TERM", "TMPDIR", "TZ", "USER")
_POLL_SECONDS = 0.05
_LOG_BYTES = 20 * 1024 * 1024
_LOG_TAIL_LINES = 15
_KILLED_SECONDS = 5.0


@dataclass(frozen=True)
class Program:
    """How to run a part, and how to know that it works.

    `ready` gets the part's output since this start; `responds` is asked of one that runs.
    """

    part: PartName
    command: Sequence[str]
    variables: Mapping[str, str]
    ready: Callable[[str], bool]
    responds: Callable[[], bool] = lambda: True
    port: int | None = None
    start_seconds: float = 40

    @property
    def fingerprint(self) -> str:
        """Equal as long as a running process is what would be started now."""
        text = json.dumps([list(self.command), sorted(self.variables.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Starting:
    """A process that was started and is not known to be ready yet."""

    program: Program
    process: subprocess.Popen[bytes]
    log: Path
    log_offset: int
    started_at: datetime
    deadline: float

    @property
    def record(self) -> PartRecord:
        """What to remember of it."""
        return PartRecord(
            pid=self.process.pid,
            port=self.program.port,
            started_at=self.started_at,
            fingerprint=self.program.fingerprint,
            log_offset=self.log_offset,
        )

    def wait_until_ready(self) -> None:
        """Return when it is ready.

        Raises:
            CommandFailed: it ended, or was not ready in time; the message shows its last lines.
        """
        name = self.program.part
        while not self.program.ready(said := self._output()):
            tail = "\n".join(said.splitlines()[-_LOG_TAIL_LINES:])
            if self.process.poll() is not None:
                raise CommandFailed(
                    f"{name} ended at once (exit {self.process.returncode}); see {self.log}\n{tail}"
                )
            if time.monotonic() > self.deadline:
                raise CommandFailed(
                    f"{name} was not ready in {self.program.start_seconds:.0f} s; "
                    f"see {self.log}\n{tail}"
                )
            time.sleep(_POLL_SECONDS)

    def _output(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self.log_offset)
            return log.read().decode(errors="replace")


def launch(program: Program, home: Home) -> Starting:
    """Start a part in a session of its own, with a clean environment and its output in a file."""
    log = home.log_of(program.part)
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    own = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    marks = {_HOME_MARK: str(home.path), _PART_MARK: program.part}
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603  # our own programs, no shell
            list(program.command),
            cwd=ROOT,
            env={**own, "PYTHONUNBUFFERED": "1", **program.variables, **marks},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        offset = output.tell()
    deadline = time.monotonic() + program.start_seconds
    return Starting(program, process, log, offset, datetime.now(UTC), deadline)


def is_running(home: Home, part: PartName, record: PartRecord) -> bool:
    """Say whether the recorded pid still is this part of this stack."""
    return _marked(record.pid, home) == part


def members(home: Home) -> Iterator[tuple[psutil.Process, str]]:
    """Yield every live process of this stack, whoever started it, with the part it belongs to."""
    for pid in psutil.pids():
        part = _marked(pid, home)
        if part is not None:
            yield psutil.Process(pid), part


def ask_to_end(home: Home, part: PartName, record: PartRecord) -> None:
    """Send SIGTERM to a part, if it runs."""
    if is_running(home, part, record):
        os.kill(record.pid, signal.SIGTERM)


def stop_part(home: Home, part: PartName, record: PartRecord, *, grace_seconds: float) -> bool:
    """Ask a part to end; afterwards kill it and what it started. False: it had to be killed."""
    ask_to_end(home, part, record)
    in_order = _wait_gone([record.pid], home, grace_seconds)
    kill_leftovers(home, part)
    return in_order


def kill_leftovers(home: Home, part: str) -> int:
    """Kill what is left of a part, such as the browser of a killed collector; return how many."""
    left = [process.pid for process, owner in members(home) if owner == part]
    for pid in left:
        if _marked(pid, home) == part:
            os.kill(pid, signal.SIGKILL)
    _wait_gone(left, home, _KILLED_SECONDS)
    return len(left)


def free_port(wanted: int | None) -> int:
    """Return `wanted` if nobody listens there, else any free port of 127.0.0.1."""
    for port in (wanted, 0):
        if port is None:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise CommandFailed("no free port on 127.0.0.1")


def _wait_gone(pids: Sequence[int], home: Home, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(_marked(pid, home) is not None for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _marked(pid: int, home: Home) -> str | None:
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        environment = process.environ()
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return None
    if environment.get(_HOME_MARK) != str(home.path):
        return None
    return environment.get(_PART_MARK)

"""Bringing the stack up: start what does not run, repair what is missing, say what was done."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import boto3

from ops.errors import CommandFailed
from ops.stack import postgres
from ops.stack.emulator import emulator_program
from ops.stack.home import Home, PartName, PartRecord, StackState
from ops.stack.resources import Repair, Resources
from ops.stack.running import own_database
from ops.stack.services import (
    GRACE_SECONDS,
    aws_variables,
    has_browser,
    portal_program,
    portal_url,
    service_programs,
)
from ops.stack.supervise import (
    Program,
    Starting,
    free_port,
    is_running,
    kill_leftovers,
    launch,
    stop_part,
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What `up` may be told.

    `zips` is a folder of real quarters; with neither that nor `generated` a running portal keeps
    what it serves. `banks` is how many a generated quarter has; None: as many as a real one.
    `database_url` is a server to use instead of the stack's own.
    """

    zips: Path | None = None
    generated: bool = False
    banks: int | None = None
    database_url: str | None = None


@dataclass(frozen=True)
class Up:
    """The stack after `up`; `changed` are the parts that were started."""

    state: StackState
    endpoint_url: str
    database_url: str
    changed: tuple[PartName, ...]


@dataclass
class _Bringing:
    home: Home
    say: Say
    state: StackState
    started: list[Starting] = field(default_factory=list)
    changed: list[PartName] = field(default_factory=list)

    def remember(self, **update: object) -> None:
        self.state = self.state.model_copy(update=update)
        self.home.write(self.state)

    def record(self, part: PartName, record: PartRecord) -> None:
        self.changed.append(part)
        self.remember(
            parts={**self.state.parts, part: record},
            ports={**self.state.ports, part: record.port} if record.port else self.state.ports,
        )

    def port_for(self, part: PartName) -> int:
        record = self.state.parts.get(part)
        if record and record.port and is_running(self.home, part, record):
            return record.port
        return free_port(self.state.ports.get(part))

    def start(self, program: Program) -> None:
        """Start a part unless it runs as it should; `wait` waits for it."""
        part = program.part
        record = self.state.parts.get(part)
        if record is not None and is_running(self.home, part, record):
            if record.fingerprint == program.fingerprint and program.responds():
                return
            why = "does not answer" if record.fingerprint == program.fingerprint else "has changed"
            self.say(f"{part}: {why}, starting it again")
            stop_part(self.home, part, record, grace_seconds=2 * GRACE_SECONDS)
        elif record is not None:
            self.say(f"{part}: was dead (process {record.pid}), starting it again. {_LOST[part]}")
        kill_leftovers(self.home, part)
        starting = launch(program, self.home)
        self.record(part, starting.record)
        self.started.append(starting)

    def wait(self) -> None:
        """Return when all that was started is ready; what is not will be started anew next time."""
        try:
            for starting in self.started:
                starting.wait_until_ready()
        except CommandFailed:
            for starting in self.started:
                part = starting.program.part
                stop_part(self.home, part, starting.record, grace_seconds=GRACE_SECONDS)
                self.remember(parts={k: v for k, v in self.state.parts.items() if k != part})
            raise
        self.started.clear()


_HELD = "A message it held comes back within half a minute."
_LOST: dict[PartName, str] = {
    "postgres": "Committed rows are safe.",
    "emulator": "Queues, files and run status are as last answered; nothing was lost.",
    "portal": "Downloads under way are tried again.",
    "generator": _HELD,
    "collector": _HELD,
    "processor": _HELD,
    "loader": f"{_HELD} Its open transaction was rolled back.",
}


def bring_up(home: Home, options: Options, say: Say) -> Up:
    """Make the whole stack run; safe to repeat.

    Raises:
        CommandFailed: a part does not start, or another `up` or `down` is at work.
        postgres.PostgresDidNotStart: its message ends with what the server logged.
    """
    if options.zips is not None and not options.zips.is_dir():
        raise CommandFailed(f"--zips {options.zips} is not a folder")
    with home.locked():
        bringing = _Bringing(home, say, home.read())
        emulator_port = bringing.port_for("emulator")
        bringing.start(emulator_program(home, emulator_port))
        database_url = _start_database(bringing, options.database_url)
        bringing.wait()
        endpoint_url = f"http://127.0.0.1:{emulator_port}"
        for repair in _ensure_resources(endpoint_url):
            _tell(repair, say)
        _start_workers(bringing, options, endpoint_url, database_url)
        bringing.wait()
        return Up(bringing.state, endpoint_url, database_url, tuple(bringing.changed))


def _start_database(bringing: _Bringing, given: str | None) -> str:
    server = own_database(bringing.home)
    if given and not _is_own(given, bringing.home):
        bringing.remember(database_url=given)
        return given
    bringing.remember(database_url=None)
    record = bringing.state.parts.get("postgres")
    if server is None:
        if record is not None:
            bringing.say(
                f"postgres: was dead (process {record.pid}), starting it again. {_LOST['postgres']}"
            )
        port = free_port(bringing.state.ports.get("postgres"))
        server = postgres.start(bringing.home.data / "postgres", port)
    if record is None or record.pid != server.pid:
        bringing.record(
            "postgres",
            PartRecord(
                pid=server.pid,
                port=urlsplit(server.url).port,
                started_at=datetime.now(UTC),
                fingerprint="",
            ),
        )
    return server.url


def _is_own(url: str, home: Home) -> bool:
    """Whether `url` is what `quarry env` printed for this very stack, running or not."""
    try:
        password = (home.data / "postgres" / "password").read_text()
    except FileNotFoundError:
        return False
    return urlsplit(url).password == password


def _ensure_resources(endpoint_url: str) -> list[Repair]:
    variables = aws_variables(endpoint_url)
    session = boto3.Session(
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_REGION"],
    )
    return Resources(session, endpoint_url).ensure("local")


def _tell(repair: Repair, say: Say) -> None:
    if repair.action != "created":
        say(f"{repair.stack}: {repair.action}")
    for name in repair.remade:
        say(f"  {name} was gone and was made again; what it held is lost")


def _start_workers(
    bringing: _Bringing, options: Options, endpoint_url: str, database_url: str
) -> None:
    if options.zips:
        bringing.remember(zips=options.zips.resolve(), banks=None)
    elif options.generated or options.banks:
        bringing.remember(zips=None, banks=options.banks)
    if not has_browser():
        bringing.say("no chromium and chromedriver here: the collector uses plain HTTP")
    state, port = bringing.state, bringing.port_for("portal")
    bringing.start(portal_program(port, state.zips, state.banks, bringing.home.data / "quarters"))
    for program in service_programs(endpoint_url, database_url, portal_url(port)):
        bringing.start(program)

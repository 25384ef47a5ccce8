"""Kills loaders and servers at named points and at random, and compares with a quiet run."""

import asyncio
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from contracts import Envelope, LoadTable
from ops.stack import postgres
from ops.stack.postgres import Postgres
from services.loader import ledger
from tests.soak.proxy import Moment, Proxy, Verdict
from tests.soak.worker import RETRY, work
from tests.soak.workload import make_workload

Build = Literal["sound", "broken"]
Action = Literal["kill_loader", "cut_connection", "stop_server", "sleep_past_lease"]
MOMENTS: tuple[Moment, ...] = ("before_copy", "in_copy", "before_commit", "commit")
ACTIONS: tuple[Action, ...] = ("kill_loader", "cut_connection", "stop_server", "sleep_past_lease")
_QUIET, _ANYWHERE, _FORGETTING = 0.35, 0.2, 0.1
Weights = tuple[int, int, int, int]
_WEIGHTS: Weights = (10, 6, 1, 1)
_FORKS = multiprocessing.get_context("forkserver")
# The fork server of Python 3.11 does not take over sys.path; without this nothing is preloaded and
# every loader would import its libraries anew.
os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
_FORKS.set_forkserver_preload(["__main__", "tests.soak.worker"])
# A little longer than the limits of a load, so that the sleeper has lost its session.
_LEASE_SECONDS = 3.2
_SERVER = {"fsync": "off", "max_connections": "60", "shared_buffers": "64MB"}


@dataclass(frozen=True)
class Fault:
    """What goes wrong in one delivery; `moment` None: after `seconds`, wherever the load is."""

    action: Action
    moment: Moment | None = None
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """`kill_loader at in_copy`."""
        return f"{self.action} at {self.moment or 'random'}"


@dataclass
class Report:
    """What a run of the harness did."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    deliveries: int = 0
    rounds: int = 0
    taken_over: int = 0
    differences: list[str] = field(default_factory=list)


class Arena:
    """One PostgreSQL server that faults may stop, and databases on it."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._server = postgres.start(data_dir, settings=_SERVER)
        self._port = urlsplit(self._server.url).port
        self._restart = asyncio.Lock()

    @property
    def server(self) -> Postgres:
        """The server as it was last started."""
        return self._server

    @property
    def port(self) -> int:
        """The port, the same after every restart."""
        assert self._port is not None
        return self._port

    async def stop_at_once(self) -> None:
        """Stop the server as if the machine failed, and start it again."""
        async with self._restart:
            os.kill(self._server.pid, signal.SIGQUIT)
            await asyncio.to_thread(_wait_for_end, self._data_dir)
            self._server = await asyncio.to_thread(
                postgres.start, self._data_dir, self._port, settings=_SERVER
            )

    async def database(self) -> str:
        """Create a database with a ledger and return its URL."""
        name = f"soak_{uuid4().hex}"
        admin = await asyncpg.connect(self._server.url)
        await admin.execute(f'CREATE DATABASE "{name}"')
        await admin.close()
        url = urlunsplit(urlsplit(self._server.url)._replace(path=f"/{name}"))
        connection = await asyncpg.connect(url)
        await ledger.prepare(connection)
        await connection.close()
        return url

    def close(self) -> None:
        """Stop the server."""
        postgres.stop(self._server)


def _wait_for_end(data_dir: Path) -> None:
    while postgres.running(data_dir) is not None:
        time.sleep(0.01)


async def soak(
    arena: Arena,
    folder: Path,
    *,
    kills: int,
    seed: int,
    build: Build = "sound",
    weights: Weights = _WEIGHTS,
) -> Report:
    """Repeat the workload under faults until `kills` have struck; compare after each round.

    `weights` say how often each action of `ACTIONS` is drawn.

    A broken build is caught by its first difference; a sound one has to stand all the kills.
    """
    report = Report(seed)
    dice = random.Random(seed)  # noqa: S311  # reproducible faults, no secret
    while report.faults.total() < kills and not (build == "broken" and report.differences):
        report.rounds += 1
        messages = make_workload(folder, seed + report.rounds)
        quiet, shaken = await arena.database(), await arena.database()
        runs = [
            _Run(arena, quiet, folder, report, None, "sound", weights, 0),
            _Run(arena, shaken, folder, report, dice, build, weights, kills),
        ]
        for run in runs:
            await asyncio.gather(*(run.drain(list(queue)) for queue in messages.values()))
        expected, found = await contents(quiet), await contents(shaken)
        report.differences += [
            f"round {report.rounds}: {name} has {len(found[name])} rows, not {len(rows)}"
            if len(found[name]) != len(rows)
            else f"round {report.rounds}: {name} has other rows"
            for name, rows in expected.items()
            if found[name] != rows
        ]
    return report


@dataclass
class _Run:
    arena: Arena
    url: str
    folder: Path
    report: Report
    dice: random.Random | None
    build: Build
    weights: Weights
    kills: int

    async def drain(self, queue: list[Envelope[LoadTable]]) -> None:
        """Deliver the messages of one group in order, each until a loader has deleted it."""
        while queue:
            fault = self._draw()
            finished = await self._deliver(queue[0], fault)
            deleted = finished and not self._forgets_to_delete()
            if deleted:
                queue.pop(0)

    def _draw(self) -> Fault | None:
        if self.dice is None or self.report.faults.total() >= self.kills:
            return None
        if self.dice.random() < _QUIET:
            return None
        action = self.dice.choices(ACTIONS, self.weights)[0]
        if action == "sleep_past_lease":
            return Fault(action, self.dice.choice(("in_copy", "before_commit")))
        if self.dice.random() < _ANYWHERE:
            return Fault(action, seconds=self.dice.uniform(0, 0.1))
        return Fault(action, self.dice.choice(MOMENTS))

    def _forgets_to_delete(self) -> bool:
        forgets = self.dice is not None and self.dice.random() < _FORGETTING
        if forgets:
            self.report.faults["kill_loader at before_delete"] += 1
        return forgets

    async def _deliver(self, message: Envelope[LoadTable], fault: Fault | None) -> bool:
        """Let one process treat the message; True when it finished and may delete it."""
        self.report.deliveries += 1
        async with self._process(message, fault) as (process, done):
            if fault is not None and fault.moment is None:
                await asyncio.wait({done}, timeout=fault.seconds)
                if not done.done():
                    await self._strike(fault, process, None)
            await done
            if process.exitcode not in {0, RETRY, -signal.SIGKILL}:
                # A fault was taken for a permanent error: the message went to the DLQ.
                self.report.differences.append(f"{message.payload.part} was parked")
                return True
            return process.exitcode == 0

    @asynccontextmanager
    async def _process(
        self, message: Envelope[LoadTable], fault: Fault | None
    ) -> AsyncIterator[tuple[ForkServerProcess, asyncio.Task[None]]]:
        struck = False

        async def at(moment: Moment) -> Verdict:
            nonlocal struck
            if struck or fault is None or fault.moment != moment:
                return "pass"
            struck = True
            return await self._strike(fault, process, message)

        proxy = Proxy(self.arena.port, at)
        port = await proxy.open()
        parts = urlsplit(self.url)
        through = parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}")
        arguments = (message.to_json(), urlunsplit(through), str(self.folder), self.build)
        process = _FORKS.Process(target=work, args=arguments)
        process.start()
        done = asyncio.create_task(_end_of(process))
        try:
            yield process, done
        finally:
            await done
            await proxy.close()
            process.close()

    async def _strike(
        self, fault: Fault, process: ForkServerProcess, message: Envelope[LoadTable] | None
    ) -> Verdict:
        self.report.faults[fault.name] += 1
        if fault.action == "kill_loader":
            _signal(process, signal.SIGKILL)
        elif fault.action == "stop_server":
            await self.arena.stop_at_once()
        elif fault.action == "sleep_past_lease" and message is not None:
            _signal(process, signal.SIGSTOP)
            await asyncio.sleep(_LEASE_SECONDS)
            # Its lease has run out: the queue gives the message to another loader.
            self.report.taken_over += await self._deliver(message, None)
            _signal(process, signal.SIGCONT)
            return "pass"
        return "cut"


def _signal(process: ForkServerProcess, number: signal.Signals) -> None:
    assert process.pid is not None
    with suppress(ProcessLookupError):  # it ended by itself in the same moment
        os.kill(process.pid, number)


async def _end_of(process: ForkServerProcess) -> None:
    """Wait on the loop: multiprocessing loses exit codes when two threads ask for them."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(process.sentinel, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process.sentinel)
    process.join()


async def contents(url: str) -> dict[str, list[Any]]:
    """Everything a load leaves, without clocks: rows, ledger and history."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'call_reports'::regnamespace"
            " AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1"
        )
        found = {row[0]: f'call_reports."{row[0]}"' for row in tables}
        found |= {"ledger": "quarry.load", "history": "quarry.restatement"}
        clocks = "'load_update_ts', 'loaded_at', 'replaced_at', 'seconds', 'worker', 'message_id'"
        return {
            name: [
                row[0]
                for row in await connection.fetch(
                    f"SELECT (to_jsonb(t) - ARRAY[{clocks}, 'restatement_id'])"  # noqa: S608  # names of this harness
                    f" #- '{{old,load_update_ts}}' AS row FROM {source} AS t ORDER BY 1"
                )
            ]
            for name, source in found.items()
        }
    finally:
        await connection.close()

"""A process whose replays are killed: reads one order a line, forks a child for each.

`run FOLDER STEP` replays all that is parked, or resumes what was begun; right after the given step
that changes queue, journal or audit table (0: none) the child gets SIGKILL. Prints the signal that
ended it, and for step 0 the steps it took.
"""

import asyncio
import inspect
import json
import os
import signal
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from ops.dlq import deeds
from ops.dlq.journal import Journal
from ops.dlq.replay import Pace
from tests.dlq_bench import bench_at


@dataclass
class Fate:
    """Counts steps and kills at the chosen one."""

    step: int
    taken: list[str] = field(default_factory=list)

    def tick(self, label: str) -> None:
        self.taken.append(label)
        if len(self.taken) == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


# What changes nothing is no step: to die before or after it is the same.
READS = frozenset(
    {"origins", "depth", "items", "tally", "action", "unfinished", "entries", "entry"}
)


class Mortal:
    """Passes every call on; one that changes something is a step."""

    def __init__(self, inner: Any, fate: Fate) -> None:
        self._inner = inner
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._inner, name)
        if name in READS:
            return inner
        if inspect.iscoroutinefunction(inner):

            async def call(*given: Any, **named: Any) -> Any:
                result = await inner(*given, **named)
                self._fate.tick(name)
                return result

            return call

        def call_now(*given: Any, **named: Any) -> Any:
            result = inner(*given, **named)
            self._fate.tick(f"{name} {given[2]}" if name == "mark" else name)
            return result

        return call_now


async def replay_everything(endpoint: str, folder: Path, fate: Fate) -> None:
    async with bench_at(endpoint, folder) as opened:
        bench = replace(
            opened,
            queues=Mortal(opened.queues, fate),
            journal=cast("Journal", Mortal(opened.journal, fate)),
            audit=Mortal(opened.audit, fate),
        )
        unfinished = opened.journal.unfinished()
        if unfinished:
            await deeds.resume(bench, unfinished[0].action_id, pace=Pace(10_000))
            return
        await opened.look()
        messages = await opened.parked()
        plan = await opened.plan(messages, selection="everything")
        if plan.replayable:
            await deeds.replay(bench, plan, messages, why="test", pace=Pace(10_000))


def main(endpoint: str) -> None:
    for line in sys.stdin:
        _, folder, step = line.split()
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            fate = Fate(int(step))
            asyncio.run(replay_everything(endpoint, Path(folder), fate))
            os.write(write_end, json.dumps(fate.taken).encode())
            os._exit(0)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as pipe:
            said = pipe.read().decode()
        _, status = os.waitpid(child, 0)
        taken = json.loads(said) if said else []
        print(json.dumps({"signal": os.WTERMSIG(status), "taken": taken}), flush=True)  # noqa: T201  # its answer


if __name__ == "__main__":
    main(sys.argv[1])

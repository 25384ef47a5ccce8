"""How close the loader comes to the server's own COPY, in one run on one machine.

`python -m benchmarks.loader --scale 1 --repeats 5` prints medians of seconds, and of ratios to the
floor of the same round: COPY of the same rows from a binary file on the server's disk into the same
table. Shapes at scale 1: wide 5,000 x 200, long 5,000,000 x 4, mixed 1,000,000 x 12.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from subprocess import PIPE
from typing import Any
from uuid import uuid4

import asyncpg
import numpy as np
import psutil
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.compute as pc  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types

from benchmarks.steadiness import Timed, ratio, timed
from contracts import LoadMode, LoadTable
from ops.stack import postgres
from ops.stack.home import ROOT
from ops.stack.services import ALLOCATOR
from services.loader import ledger
from services.loader.exactly_once import load_parquet
from services.loader.postgres import Connection
from services.loader.table_lock import Limits
from tests.loads import FIRST, PROVENANCE, write

_ROW_GROUP = 131_072
_UUID_BYTES = 16
# Neither vacuum, nor eviction of what another load left, nor making files for the log is to fall on
# the load that is measured.
_SERVER = {
    "shared_buffers": "1GB",
    "autovacuum": "off",
    "min_wal_size": "1GB",
    "max_wal_size": "3GB",
}
_AS_THE_PROCESSOR_WRITES: dict[str, Any] = {
    "compression": "lz4",
    "use_dictionary": False,
    "write_statistics": False,
}
_TABLES: tuple[tuple[LoadMode, str], ...] = (
    ("append", "appended"),
    ("merge", "merged"),
    ("replace", "replaced"),
    ("merge", "keyed"),
)
_PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
_SOME = 1_000
_GENERATOR = np.random.default_rng(7)


def _lineage(rows: int) -> dict[str, pa.Array]:
    return {
        "filename": pa.array(["shape.txt"] * rows),
        "row_number": pa.array(np.arange(rows)),
    }


def wide(rows: int) -> pa.Table:
    """Call-report shape: 200 columns of integers, six of ten null."""
    columns = {"id": pa.array(np.arange(rows))}
    for number in range(199):
        values, missing = _GENERATOR.integers(0, 10**8, rows), _GENERATOR.random(rows) < 0.6
        columns[f"c{number}"] = pa.array(values, mask=missing)
    return pa.table(columns | _lineage(rows))


def long(rows: int) -> pa.Table:
    """Bank, code, value: few narrow columns and many rows."""
    return pa.table(
        {
            "id": pa.array(np.arange(rows)),
            "bank": pa.array(_GENERATOR.integers(1, 6000, rows)),
            "value": pa.array(_GENERATOR.random(rows)),
            "row_number": pa.array(np.arange(rows)),
        }
    )


def mixed(rows: int) -> pa.Table:
    """Twelve columns with decimals, text and timestamps."""
    cents = pa.array(_GENERATOR.integers(0, 10**9, rows))
    stamps = pa.array(_GENERATOR.integers(0, 10**15, rows)).cast(pa.timestamp("us"))
    columns = {"id": pa.array(np.arange(rows))}
    for number in range(3):
        columns[f"amount{number}"] = cents.cast(pa.decimal128(21, 2)).cast(pa.decimal128(14, 2))
        columns[f"text{number}"] = pc.binary_join_element_wise(cents.cast(pa.string()), "x", "-")
    columns |= {"made": stamps, "sent": stamps.cast(pa.timestamp("us", "UTC"))}
    columns["flag"] = pc.greater(cents, 5 * 10**8)
    return pa.table(columns | _lineage(rows))


SHAPES: dict[str, tuple[Callable[[int], pa.Table], int]] = {
    "wide": (wide, 5_000),
    "long": (long, 5_000_000),
    "mixed": (mixed, 1_000_000),
}
# Measured so many times as often: a load of 50 ms, and two whose times spread by a fifth.
_MORE_OFTEN = {"wide": 20, "long": 2, "mixed": 3}
_PEERS_MORE_OFTEN = {"wide": 5}


@dataclass
class Bench:
    """One shape in one database; every timed thing starts from the same state."""

    connection: Connection
    folder: Path
    table: pa.Table
    repeats: int
    peer_repeats: int

    async def load(
        self, mode: LoadMode, name: str, day: int, table: pa.Table | None = None
    ) -> Timed:
        """Load the shape, or `table`; writing the file is not counted."""
        declaration = self._written(mode, name, day, table)
        await self._level()
        return await timed(self._bring(declaration))

    async def floor(self, name: str) -> Timed:
        """Let the server copy the same rows from its own disk into the empty table."""
        await self._level()
        taken = await timed(self._copy_from_disk(name))
        await self._empty(name)
        return taken

    async def measure(self) -> dict[str, list[Timed]]:
        """Return times by what was done; all take turns."""
        for mode, name in _TABLES:
            await self._bring(self._written(mode, name, 0))
        await self.connection.execute(
            "CREATE TABLE call_reports.spare (LIKE call_reports.appended);"
            f" COPY call_reports.appended TO '{self.folder}/rows.bin' (FORMAT binary)"
        )
        await self._empty("appended", "keyed")
        taken: dict[str, list[Timed]] = {}
        for day in range(1, self.repeats + 1):
            for name, act in self._acts(day).items():
                taken.setdefault(name, []).append(await act())
        return taken

    async def peers(self, url: str) -> dict[str, float]:
        """Return the median seconds of the peers on the same rows and an equal table.

        They find the 16 bytes of a load's id in their file, as `bytea`: ADBC has no `uuid`.
        """
        marks = pa.array([uuid4().bytes] * len(self.table), pa.binary(_UUID_BYTES))
        path = self.folder / "peers.parquet"
        marked = self.table.append_column("load_id", marks)
        pq.write_table(marked, path, row_group_size=_ROW_GROUP, **_AS_THE_PROCESSOR_WRITES)
        await self.connection.execute(
            "CREATE TABLE call_reports.peer (LIKE call_reports.appended INCLUDING ALL);"
            " ALTER TABLE call_reports.peer ALTER load_id TYPE bytea USING NULL"
        )
        command = [
            *(str(_PEERS_PYTHON), str(Path(__file__).parent / "peers.py")),
            *("--url", url, "--parquet", str(path)),
            *("--table", "call_reports.peer", "--repeats", str(self.peer_repeats)),
        ]
        finished = await asyncio.to_thread(subprocess.run, command, check=True, stdout=PIPE)
        measured: dict[str, float] = json.loads(finished.stdout)
        return measured

    def _written(
        self, mode: LoadMode, name: str, day: int, table: pa.Table | None = None
    ) -> LoadTable:
        return write(
            self.folder / "rows.parquet",
            self.table if table is None else table,
            mode=mode,
            key=("id",) if mode == "merge" else (),
            name=name,
            period=None,
            as_of=FIRST + timedelta(days=day),
            digest=uuid4().hex * 2,
            row_group_size=_ROW_GROUP,
            **_AS_THE_PROCESSOR_WRITES,
        )

    async def _bring(self, declaration: LoadTable) -> None:
        path = self.folder / "rows.parquet"
        await load_parquet(self.connection, path, declaration, PROVENANCE, Limits())

    async def _copy_from_disk(self, name: str) -> None:
        await self.connection.execute(
            f"COPY call_reports.{name} FROM '{self.folder}/rows.bin' (FORMAT binary)"
        )

    async def _empty(self, *names: str) -> None:
        """Leave nothing for the disk to write while the next load is measured."""
        tables = ", ".join(f"call_reports.{name}" for name in names)
        await self.connection.execute(f"TRUNCATE {tables}")

    async def _level(self) -> None:
        """Free the memory of one such table, which is what emptying a table does.

        A load that gets other memory, from the virtual machine's host or another process, takes up
        to a third longer, whatever its mode.
        """
        await self._copy_from_disk("spare")
        await self.connection.execute("CHECKPOINT")
        await self.connection.execute("TRUNCATE call_reports.spare")

    def _acts(self, day: int) -> dict[str, Callable[[], Awaitable[Timed]]]:
        async def append(name: str) -> Timed:
            taken = await self.load("append", name, day)
            await self._empty(name)
            return taken

        async def merge_compared(name: str) -> Timed:
            await self.connection.execute("TRUNCATE quarry.piece")
            return await self.load("merge", name, day)

        async def merge_some(name: str) -> Timed:
            some = np.sort(_GENERATOR.choice(len(self.table), _SOME, replace=False))
            return await self.load("merge", name, day, self.table.take(pa.array(some)))

        return {
            "floor": lambda: self.floor("appended"),
            "append": lambda: append("appended"),
            "replace": lambda: self.load("replace", "replaced", day),
            "merge of unchanged rows": lambda: self.load("merge", "merged", day),
            "merge of unchanged rows, compared": lambda: merge_compared("merged"),
            f"merge of {_SOME:,} of the rows, unchanged": lambda: merge_some("merged"),
            "floor, keyed table": lambda: self.floor("keyed"),
            "append, keyed table": lambda: append("keyed"),
        }


def show(shape: str, taken: Mapping[str, Sequence[Timed]], peers: Mapping[str, float]) -> None:
    """Print a line for each; the last column divides medians of all by that of the floor.

    Peers are measured afterwards, so they have no other ratio.
    """
    median = {
        name: statistics.median(one.seconds for one in times) for name, times in taken.items()
    }
    for what, times in taken.items():
        floor, append = (ratio(times, taken[other]) for other in ("floor", "append"))
        counted = f"{floor.pairs} and {append.pairs} of {floor.taken}"
        ratios = f"{floor.median:.2f} | {append.median:.2f}"
        by_all = median[what] / median["floor"]
        print(f"| {shape} | {what} | {median[what]:.3f} | {ratios} | {counted} | {by_all:.2f} |")
    for what, seconds in peers.items():
        print(f"| {shape} | {what} | {seconds:.3f} | | | | {seconds / median['floor']:.2f} |")


async def run(folder: Path, shapes: list[str], scale: float, repeats: int, *, peers: bool) -> None:
    """Measure the shapes and print one table."""
    folder.chmod(0o777)  # noqa: ASYNC240  # the server writes its binary file here
    server = postgres.start(folder / "data", settings=_SERVER)
    process = psutil.Process()
    print("| shape | what | seconds | to floor | to append | pairs | by all |")
    print("|---|---|---|---|---|---|---|")
    try:
        for name in shapes:
            make, rows = SHAPES[name]
            connection = await asyncpg.connect(server.url, statement_cache_size=0)
            await connection.execute("DROP SCHEMA IF EXISTS call_reports, quarry CASCADE")
            await ledger.prepare(connection)
            own, theirs = (repeats * more.get(name, 1) for more in (_MORE_OFTEN, _PEERS_MORE_OFTEN))
            bench = Bench(connection, folder, make(int(rows * scale)), own, theirs)
            taken = await bench.measure()
            show(
                f"{name} {bench.table.shape}", taken, await bench.peers(server.url) if peers else {}
            )
            await connection.close()
        print(f"\nresident at the end: {process.memory_info().rss / 1e6:.0f} MB")
    finally:
        postgres.stop(server)


def start_as_the_loader() -> None:
    """Begin anew with the allocators as the loader's process has them; the peers have them too."""
    variables = os.environ | ALLOCATOR["loader"]
    if variables != os.environ:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], variables)  # noqa: S606  # this program again


if __name__ == "__main__":
    start_as_the_loader()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loader", description=__doc__)
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peers", action="store_true", help="measure benchmarks/peers.py too")
    parser.add_argument("--shape", choices=SHAPES, action="append")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quarry-bench-") as made:
        asyncio.run(
            run(Path(made), given.shape or [*SHAPES], given.scale, given.repeats, peers=given.peers)
        )

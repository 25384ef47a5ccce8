"""How much memory one load takes above an idle loader, whatever the number of rows.

`python -m benchmarks.loader_memory --rows 5000000 50000000` loads each in a process of its own and
prints the peak of its resident memory above what it held before the load.
"""

import argparse
import asyncio
import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import numpy as np
import psutil
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types

from contracts import LoadMode, LoadTable
from ops.stack import postgres
from ops.stack.services import ALLOCATOR
from services.loader import ledger
from services.loader.exactly_once import load_parquet
from services.loader.table_lock import Limits
from tests.loads import FIRST, PROVENANCE, declare

_MODES: tuple[LoadMode, ...] = ("append", "merge", "merge", "replace")
_CHUNK = 1_000_000
_ROW_GROUP = 131_072
_FORKS = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Use:
    """Resident megabytes of a process that did one load."""

    idle: float
    peak: float


def long(rows: int) -> Iterator[pa.Table]:
    """Bank, code, value in ascending order of id, a million rows at a time."""
    dice = np.random.default_rng(7)
    for start in range(0, rows, _CHUNK):
        count = min(_CHUNK, rows - start)
        numbers = np.arange(start, start + count)
        yield pa.table(
            {
                "id": numbers,
                "bank": dice.integers(1, 6000, count),
                "value": dice.random(count),
                "row_number": numbers,
            }
        )


def write_long(path: Path, rows: int) -> None:
    """Write the file without holding it."""
    chunks = long(rows)
    first = next(chunks)
    with pq.ParquetWriter(path, first.schema) as writer:
        writer.write_table(first, row_group_size=_ROW_GROUP)
        for chunk in chunks:
            writer.write_table(chunk, row_group_size=_ROW_GROUP)


def measured(
    url: str, path: Path, declaration: LoadTable, uses: "multiprocessing.Queue[Use]"
) -> None:
    """Load once in this new process and report its memory."""
    asyncio.run(_load(url, path, declaration, uses))


async def _load(
    url: str, path: Path, declaration: LoadTable, uses: "multiprocessing.Queue[Use]"
) -> None:
    connection = await asyncpg.connect(url, statement_cache_size=0)
    idle = psutil.Process().memory_info().rss / 1e6
    await load_parquet(connection, path, declaration, PROVENANCE, Limits())
    peak = _peak()
    await connection.close()
    uses.put(Use(idle, peak))


def _peak() -> float:
    # Not getrusage: what it tells goes back to the program this process was before exec.
    status = Path("/proc/self/status").read_text().splitlines()
    [line] = [one for one in status if one.startswith("VmHWM")]
    return int(line.split()[1]) * 1024 / 1e6


def run(folder: Path, counts: list[int]) -> None:
    """Measure every number of rows in every mode and print one table."""
    folder.chmod(0o711)
    server = postgres.start(folder / "data", settings={"shared_buffers": "512MB"})
    print("| rows | mode | idle MB | peak MB | above idle MB |\n|---|---|---|---|---|")
    try:
        asyncio.run(_prepare(server.url))
        path = folder / "rows.parquet"
        for rows in counts:
            write_long(path, rows)
            for day, mode in enumerate(_MODES):
                _report(rows, mode, _measure(server.url, path, mode, f"{mode}_{rows}", day))
            asyncio.run(_forget_pieces(server.url))
            use = _measure(server.url, path, "merge", f"merge_{rows}", len(_MODES))
            _report(rows, "merge, no piece known", use)
    finally:
        postgres.stop(server)


def _report(rows: int, what: str, use: Use) -> None:
    said = f"{use.idle:.0f} | {use.peak:.0f} | {use.peak - use.idle:.0f}"
    print(f"| {rows:,} | {what} | {said} |", flush=True)


async def _forget_pieces(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("TRUNCATE quarry.piece")
    await connection.close()


async def _prepare(url: str) -> None:
    connection = await asyncpg.connect(url)
    await ledger.prepare(connection)
    await connection.close()


def _measure(url: str, path: Path, mode: LoadMode, name: str, day: int) -> Use:
    declaration = declare(
        path,
        mode=mode,
        key=("id",) if mode == "merge" else (),
        name=name,
        period=None,
        as_of=FIRST + timedelta(days=day),
        digest=uuid4().hex * 2,
    )
    uses: multiprocessing.Queue[Use] = _FORKS.Queue()
    process = _FORKS.Process(target=measured, args=(url, path, declaration, uses))
    process.start()
    use = uses.get()
    process.join()
    return use


if __name__ == "__main__":
    # Each load has a process of its own, which starts as the loader's does.
    os.environ.update(ALLOCATOR["loader"])
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loader_memory", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[5_000_000, 50_000_000])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quarry-bench-") as made:
        run(Path(made), given.rows)

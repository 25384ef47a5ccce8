"""One full real quarter from `quarry send` to the last commit, beside the floor and the old way.

    make bench            # or: python -m benchmarks.quarter [--zips DIR] [--period 2013Q1] [--runs 3]

Prints seconds, ratios, a breakdown by stage and each service's peak memory. The stack is warm: one
run of the same quarter goes before the measured ones. Everything happens in one process tree on one
machine, in one invocation, so that the ratios compare like with like.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from benchmarks.floor import measure_floor
from benchmarks.old_way import measure_old_way

ROOT = Path(__file__).parents[1]
REAL_ZIPS = ROOT.parent / "shared" / "data" / "ffiec-cdr-call" / "rebuilt-zips"
SERVICES = ("generator", "collector", "processor", "loader")
_SAMPLE_SECONDS = 0.1


class Peaks:
    """Samples the resident memory of the services while a run goes on; browser excluded."""

    def __init__(self, pids: dict[str, int]) -> None:
        self.megabytes = dict.fromkeys(pids, 0.0)
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "Peaks":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            for name, process in self._processes.items():
                resident = process.memory_info().rss / 2**20
                self.megabytes[name] = max(self.megabytes[name], resident)


def quarry(*words: str) -> str:
    """Run the command as a person would and return what it printed."""
    command = [str(ROOT / "quarry"), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603  # our own command


def send(period: str) -> tuple[float, dict[str, Any]]:
    """Send one quarter and wait for its last commit: wall seconds, and the run's report."""
    started = time.perf_counter()
    report = json.loads(quarry("send", "--from", period, "--to", period, "--wait", "--json"))
    return time.perf_counter() - started, report


async def measure(period: str, archive: Path, runs: int) -> None:
    """Measure and print."""
    status = json.loads(quarry("status", "--json"))
    pids = {part["name"]: part["pid"] for part in status["parts"] if part["name"] in SERVICES}
    send(period)
    results = []
    with Peaks(pids) as peaks:
        for _ in range(runs):
            results.append(send(period))
            await asyncio.sleep(0.5)
    database = await asyncpg.connect(status["database_url"])
    try:
        with tempfile.TemporaryDirectory() as work:
            exchange = Path(work) / "exchange"
            exchange.mkdir()
            for folder in (Path(work), exchange):
                folder.chmod(0o777)
            floor = await measure_floor(archive, database, exchange)
            old = await measure_old_way(archive, period, database, Path(work))
            cells = await _cells(database)
    finally:
        await database.close()
    seconds = statistics.median(taken for taken, _ in results)
    print(f"\n{period}, {archive.name}: {floor.rows} rows in {floor.tables} tables, {cells} cells")
    print(f"{'send to last commit':32} {seconds:8.2f} s   median of {runs}")
    print(f"{'floor (read, parse, COPY)':32} {floor.seconds:8.2f} s", end="   ")
    print(f"{floor.read_and_parse:.2f} + {floor.copy:.2f}")
    print(f"{'ratio to the floor':32} {seconds / floor.seconds:8.2f} x   aim: at most 4")
    ours = cells / seconds
    print(f"{'old way, sample of schedules':32} {old.seconds:8.2f} s   {old.cells} cells")
    ratio = ours / old.cells_per_second
    print(f"{'faster than the old way':32} {ratio:8.1f} x   by cells per second; aim: 20")
    print("\nper stage (seconds, last run):")
    print(json.dumps(results[-1][1].get("stages", results[-1][1].get("quarters")), indent=2))
    print("\npeak resident memory (MB, browser excluded; limit 600):")
    for name, megabytes in peaks.megabytes.items():
        print(f"  {name:12} {megabytes:7.0f}")


async def _cells(database: asyncpg.Connection) -> int:
    """Reported values in the loaded tables: what there is to move."""
    tables = await database.fetch(
        "select quote_ident(schemaname) || '.' || quote_ident(tablename) as name"
        " from pg_tables where schemaname = 'call_reports'"
    )
    counts = [
        await database.fetchval(f"select sum(num_nonnulls({row['name']}.*)) from {row['name']}")  # noqa: S608  # quoted by the server
        for row in tables
    ]
    return int(sum(count or 0 for count in counts))


def main() -> None:
    """Bring a stack of its own up, measure, take it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zips", type=Path, default=REAL_ZIPS)
    parser.add_argument("--period", default="2013Q1")
    parser.add_argument("--archive", default="FFIEC CDR Call Bulk All Schedules 03312013.zip")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    os.environ["QUARRY_HOME"] = tempfile.mkdtemp(prefix="quarry-bench-")
    quarry("up", "--zips", str(options.zips))
    try:
        asyncio.run(measure(options.period, options.zips / options.archive, options.runs))
    finally:
        quarry("down")


if __name__ == "__main__":
    main()

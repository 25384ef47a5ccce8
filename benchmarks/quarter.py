"""One full real quarter from `quarry send` to the last commit, beside the floor and the old way.

    python -m benchmarks.quarter [--zips DIR] [--period 2013Q1] [--runs 3]

Prints seconds, ratios, a breakdown by stage and each service's peak memory. The stack is warm: one
run of the same quarter goes before the measured ones. Before each run its tables and ledger entries
are removed, so that every row is loaded anew. Everything happens on one machine in one invocation,
so that the ratios compare like with like.
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
from typing import Any, Self

import asyncpg
import psutil

from benchmarks.floor import Floor, measure_floor
from benchmarks.old_way import measure_old_way
from ops.target import find_database

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

    def __enter__(self) -> Self:
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
    """Send one quarter and wait for it: seconds to the last commit, and the run's report.

    Seconds are the run's own, from the moment the generator takes the message (milliseconds after
    it was sent) to the last load's end; the command's start and end are reported beside them.
    """
    started = time.perf_counter()
    report = json.loads(quarry("send", "--from", period, "--to", period, "--wait", "--json"))
    report["command_seconds"] = time.perf_counter() - started
    return report["seconds"], report


async def measure(period: str, archive: Path, runs: int, work: Path) -> None:
    """Measure and print. The floor is taken after every run, so that both meet the same load."""
    parts = json.loads(quarry("status", "--json"))["parts"]
    pids = {service: parts[service]["pid"] for service in SERVICES}
    send(period)
    results: list[tuple[float, dict[str, Any]]] = []
    floors: list[Floor] = []
    database = await asyncpg.connect(find_database("local"))
    try:
        with Peaks(pids) as peaks:
            for _ in range(runs):
                await _forget(database)
                results.append(send(period))
                floors.append(await measure_floor(archive, database, work))
        old = await measure_old_way(archive, period, database, work)
        cells = await _cells(database)
    finally:
        await database.close()
    seconds = statistics.median(taken for taken, _ in results)
    floor = statistics.median(one.seconds for one in floors)
    ratio = statistics.median(
        taken / one.seconds for (taken, _), one in zip(results, floors, strict=True)
    )
    rows, tables = floors[-1].rows, floors[-1].tables
    print(f"\n{period}, {archive.name}: {rows} rows in {tables} tables, {cells} cells")
    print(f"{'send to last commit':32} {seconds:8.2f} s   median of {runs}")
    command = statistics.median(report["command_seconds"] for _, report in results)
    print(f"{'the whole quarry send --wait':32} {command:8.2f} s   with Python's start and end")
    print(f"{'floor (read, parse, COPY)':32} {floor:8.2f} s   median of {runs}")
    print(f"{'ratio to the floor':32} {ratio:8.2f} x   median of each run's; aim: at most 4")
    print(f"{'old way, sample of schedules':32} {old.seconds:8.2f} s   {old.cells} cells")
    faster = cells / seconds / old.cells_per_second
    print(f"{'faster than the old way':32} {faster:8.1f} x   by cells per second; aim: 20")
    print("\nper stage (seconds, last run; stages of one quarter overlap):")
    print(json.dumps(results[-1][1]["quarters"], indent=2))
    print("\npeak resident memory (MB, browser excluded; limit 600):")
    for name, megabytes in peaks.megabytes.items():
        print(f"  {name:12} {megabytes:7.0f}")


async def _forget(database: asyncpg.Connection) -> None:
    """Remove what earlier runs loaded: a quarter that is there already would only be compared."""
    await database.execute("drop schema call_reports cascade")
    await database.execute("truncate quarry.load, quarry.attempt, quarry.restatement")


async def _cells(database: asyncpg.Connection) -> int:
    """Reported values in the loaded tables, keys and audit columns not counted."""
    columns = await database.fetch(
        "select quote_ident(table_schema) || '.' || quote_ident(table_name) as table,"
        " string_agg(format('count(%I)', column_name), ' + ') as counts"
        " from information_schema.columns"
        " join information_schema.tables using (table_schema, table_name)"
        " where table_schema = 'call_reports' and table_type = 'BASE TABLE'"
        " and column_name not in ('idrssd', 'period_end', 'load_update_ts', 'filename',"
        " 'row_number', 'load_id', 'confidential') group by 1"
    )
    counts = [
        await database.fetchval(f"select {row['counts']} from {row['table']}")  # noqa: S608  # quoted by the server
        for row in columns
    ]
    return sum(counts)


def main() -> None:
    """Bring a stack of its own up, measure, take it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zips", type=Path, default=REAL_ZIPS)
    parser.add_argument("--period", default="2013Q1")
    parser.add_argument("--archive", default="FFIEC CDR Call Bulk All Schedules 03312013.zip")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quarry-bench-") as folder:
        Path(folder).chmod(0o711)
        exchange = Path(folder) / "exchange"
        exchange.mkdir()
        exchange.chmod(0o777)  # the server's own user writes and reads here
        os.environ["QUARRY_HOME"] = str(Path(folder) / "home")
        try:
            quarry("up", "--zips", str(options.zips))
            archive = options.zips / options.archive
            asyncio.run(measure(options.period, archive, options.runs, exchange))
        finally:
            quarry("down")


if __name__ == "__main__":
    main()

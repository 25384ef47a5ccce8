"""`python -m tests.soak --kills 500 --seed 1 --report docs/soak.md`: the kill harness alone."""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from tests.soak.harness import Arena, Report, soak


def main() -> int:
    """Run the harness and print (and keep) its report; 1 when a table differed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, default=None)
    given = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="quarry-soak-") as folder:
        report = asyncio.run(_soak(Path(folder), given.kills, given.seed))
    text = describe(report, time.monotonic() - started)
    print(text)  # noqa: T201  # this is the command's output
    if given.report is not None:
        given.report.write_text(text, encoding="utf-8")
    return 1 if report.differences else 0


async def _soak(folder: Path, kills: int, seed: int) -> Report:
    folder.chmod(0o711)  # noqa: ASYNC240  # the server may run as another user
    files = folder / "files"
    files.mkdir()
    arena = Arena(folder / "data")
    try:
        return await soak(arena, files, kills=kills, seed=seed)
    finally:
        arena.close()


def describe(report: Report, seconds: float) -> str:
    """Return the report as Markdown."""
    summary = (
        f"Seed {report.seed}: {report.faults.total()} faults in {report.deliveries} deliveries, "
        f"{report.rounds} rounds, {seconds:.0f} s. After each round every table, the ledger and "
        "the history were compared row for row with a run without faults. In "
        f"{report.taken_over} cases another loader finished the load of one that slept."
    )
    lines = [
        "# Kill harness of the loader",
        "",
        summary,
        "",
        "| Fault | Times |",
        "|---|---|",
        *(f"| {name} | {count} |" for name, count in sorted(report.faults.items())),
        "",
        f"Differences: {len(report.differences)}",
        *(f"- {difference}" for difference in report.differences),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())

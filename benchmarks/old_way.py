"""The old way: one CSV table per reported code with pandas, then one INSERT per row."""

import csv
import time
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import asyncpg
import pandas as pd  # type: ignore[import-untyped,unused-ignore]  # stubs are not locked

SCHEDULES = ("RC", "RI", "RCK")
# A whole schedule takes minutes this way; the rate in cells per second shows on a few codes.
_CODES_PER_SCHEDULE = 4


@dataclass(frozen=True)
class OldWay:
    """Seconds for a sample of schedules and the cells (reported values) it covered."""

    seconds: float
    cells: int

    @property
    def cells_per_second(self) -> float:
        """The figure to compare, since only a sample of the quarter is loaded this way."""
        return self.cells / self.seconds


async def measure_old_way(
    archive: Path, period: str, database: asyncpg.Connection, work: Path
) -> OldWay:
    """Clean and load the sample as the scripts that Quarry replaces did."""
    await database.execute("drop table if exists old_way")
    await database.execute(
        "create table old_way"
        " (idrssd bigint, year int, quarter int, code text, value text,"
        " primary key (idrssd, year, quarter, code))"
    )
    started = time.perf_counter()
    files = _clean(archive, period, work)
    cells = 0
    for file in files:
        async with database.transaction():  # a commit per row would make it slower still
            cells += await _insert(file, database)
    seconds = time.perf_counter() - started
    await database.execute("drop table old_way")
    return OldWay(seconds, cells)


def _clean(archive: Path, period: str, work: Path) -> list[Path]:
    files: list[Path] = []
    with zipfile.ZipFile(archive) as opened:
        for schedule in SCHEDULES:
            name = next(n for n in opened.namelist() if f"Schedule {schedule} " in n)
            frame = pd.read_csv(
                BytesIO(opened.read(name)),
                sep="\t",
                quoting=csv.QUOTE_NONE,
                skiprows=[1],
                dtype=str,
            ).rename(columns=lambda text: text.strip('"'))
            codes = [code for code in frame.columns if code[:4] in {"RCON", "RCFD", "RIAD"}]
            for code in codes[:_CODES_PER_SCHEDULE]:
                table = frame[["IDRSSD", code]].dropna()
                table.columns = pd.Index(["idrssd", "value"])
                table = table.assign(year=period[:4], quarter=period[-1], code=code)
                file = work / f"{schedule}_{code}.csv"
                table.to_csv(file, index=False)
                files.append(file)
    return files


async def _insert(file: Path, database: asyncpg.Connection) -> int:
    frame = pd.read_csv(file, dtype=str)
    for row in frame.itertuples(index=False):
        await database.execute(
            "insert into old_way (idrssd, year, quarter, code, value) values ($1, $2, $3, $4, $5)",
            int(row.idrssd),
            int(row.year),
            int(row.quarter),
            row.code,
            row.value,
        )
    return len(frame)

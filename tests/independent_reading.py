"""A second, deliberately plain reading of call-report zips, to compare the pipeline's tables with.

No polars and none of the product's parsing: records end in CR LF, fields are split on TAB.
"""

import os
import re
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

DATA = Path(os.environ.get("QUARRY_DATA", Path(__file__).parents[2] / "shared" / "data"))
REAL_ZIPS = DATA / "ffiec-cdr-call" / "rebuilt-zips"

_SCHEDULE = re.compile(r"FFIEC CDR Call Schedule (\w+) \d{8}(?:\(\d of \d\))?\.txt")
Cells = dict[str, list[str]]


@dataclass(frozen=True)
class Expected:
    """What one column must amount to: cells that say something, and their sum if numeric."""

    reported: int
    confidential: int
    total: Decimal | None


def read_zip(path: Path) -> dict[str, Cells]:
    """Return table -> column -> cells in file order; parts of a schedule are put together."""
    tables: dict[str, Cells] = defaultdict(dict)
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            match = _SCHEDULE.fullmatch(name)
            if match:
                tables[match[1].lower()].update(_columns(archive.read(name)))
    return dict(tables)


def _columns(data: bytes) -> Cells:
    lines = data.decode("ascii").split("\r\n")
    codes = [code.strip('"').lower() for code in lines[0].split("\t")[:-1]]
    rows = [line.split("\t")[:-1] for line in lines[2:] if line]
    assert all(len(row) == len(codes) for row in rows)
    return {code: [row[position] for row in rows] for position, code in enumerate(codes)}


def expect_number(cells: list[str]) -> Expected:
    """Sum a numeric column; `12.5%` counts as 0.125."""
    reported = [cell for cell in cells if cell not in {"", "CONF"}]
    total = sum((_number(cell) for cell in reported), Decimal(0))
    return Expected(len(reported), cells.count("CONF"), total)


def expect_presence(cells: list[str], *, absent: frozenset[str] = frozenset()) -> Expected:
    """Count a column that is not summed; `absent` are ways of writing "none"."""
    reported = [cell for cell in cells if cell.strip() and cell != "CONF" and cell not in absent]
    return Expected(len(reported), cells.count("CONF"), None)


def _number(cell: str) -> Decimal:
    return Decimal(cell[:-1]) / 100 if cell.endswith("%") else Decimal(cell)

"""Hired employees, departments and jobs as files: the published ones, else made up by seed."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Literal

from ops.sources.totesys import data_folder

Variant = Literal["comma", "bom", "semicolon"]
NAMES = ("hired_employees.csv", "departments.csv", "jobs.csv")
_PUBLISHED = Path("globant-challenge")
_FOLDERS: dict[Variant, str] = {
    "comma": "",
    "bom": "variant-bom",
    "semicolon": "variant-semicolon-bom-crlf",
}
_SEED = 1
_EMPLOYEES, _DEPARTMENTS, _JOBS = 1_999, 12, 183
# As many as among the published rows, one column of each.
_BLANK = {1: 19, 2: 14, 3: 21, 4: 16}
_FIRST_DAY = datetime(2021, 2, 1, tzinfo=UTC)
_DAYS = 384
_PEOPLE = ("Ada", "Bo", "Carla", "Dmitri", "Eve", "Fu", "Grace", "Hugo", "Ines", "Jan")
_WORK = ("Accounting", "Design", "Engineering", "Legal", "Sales", "Support", "Training")
_RANKS = ("Analyst", "Assistant", "Director, acting", "Engineer", "Manager", "VP")


def published_files(variant: Variant) -> list[Path]:
    """Return the three published files; what a variant has not comes from the main one."""
    main = data_folder() / _PUBLISHED
    own = main / _FOLDERS[variant]
    return [own / name if (own / name).is_file() else main / name for name in NAMES]


def are_published() -> bool:
    """Say whether the published files are here."""
    return all((data_folder() / _PUBLISHED / name).is_file() for name in NAMES)


def make_up(folder: Path, variant: Variant, employees: int = _EMPLOYEES) -> list[Path]:
    """Write three files of the published shape, however large; memory holds some rows of them."""
    random = Random(_SEED)  # noqa: S311  # made-up rows, not secrets
    departments = ([str(n + 1), f"{_WORK[n % 7]} {n + 1}"] for n in range(_DEPARTMENTS))
    jobs = ([str(n + 1), f"{_WORK[n % 7]} {_RANKS[n % 6]} {n + 1}"] for n in range(_JOBS))
    rows = (_hired(random, employees), departments, jobs)
    return [
        _write(folder / name, variant, records) for name, records in zip(NAMES, rows, strict=True)
    ]


def _hired(random: Random, employees: int) -> Iterator[list[str]]:
    blank = dict(_blank_cells(random, employees))
    for n in range(employees):
        day = _FIRST_DAY + timedelta(days=random.randrange(_DAYS), seconds=random.randrange(86_400))
        cells = [
            str(n + 1),
            f"{random.choice(_PEOPLE)} {random.choice(_PEOPLE)}son",
            f"{day:%Y-%m-%dT%H:%M:%SZ}",
            str(random.randrange(_DEPARTMENTS) + 1),
            str(random.randrange(_JOBS) + 1),
        ]
        if n in blank:
            cells[blank[n]] = ""
        yield cells


def _blank_cells(random: Random, employees: int) -> Iterator[tuple[int, int]]:
    columns = [column for column, count in _BLANK.items() for _ in range(count)]
    rows = random.sample(range(employees), min(len(columns), employees))
    return zip(rows, columns, strict=False)


def _write(path: Path, variant: Variant, records: Iterator[list[str]]) -> Path:
    encoding = "utf-8" if variant == "comma" else "utf-8-sig"
    semicolon = variant == "semicolon"
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(
            file,
            delimiter=";" if semicolon else ",",
            lineterminator="\r\n" if semicolon else "\n",
        ).writerows(records)
    return path

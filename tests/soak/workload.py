"""The loads that the kill harness repeats: every mode, versions in order, all from one seed."""

import random
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from contracts import Envelope, LoadMode, LoadTable
from tests.loads import FIRST, bank_rows, enveloped, write

_BANKS, _REPORTING = 60, 0.8
_PLAN: dict[str, tuple[LoadMode, list[str]]] = {
    "quarters": ("replace_period", ["2013Q1", "2013Q2", "2013Q1", "2013Q1", "2013Q2"]),
    "events": ("append", ["2013Q1"] * 5),
    "panel": ("merge", ["2013Q1"] * 5),
    "snapshot": ("replace", ["2013Q1"] * 4),
}
Messages = dict[str, list[Envelope[LoadTable]]]


def make_workload(folder: Path, seed: int) -> Messages:
    """Write the Parquet files and return the messages of each table, in order."""
    dice = random.Random(seed)  # noqa: S311  # reproducible data, no secret
    messages: Messages = {}
    for table, (mode, periods) in _PLAN.items():
        messages[table] = [
            enveloped(_declare(folder / f"{table}-{step}", dice, mode, period, step))
            for step, period in enumerate(periods)
        ]
    return messages


def _declare(path: Path, dice: random.Random, mode: LoadMode, period: str, step: int) -> LoadTable:
    assets = {
        bank: dice.randint(1, 3) for bank in range(_BANKS) if dice.random() < 0.8
    }  # most banks
    return write(
        path,
        bank_rows(dict(assets), period=period),
        name=path.name.split("-")[0],
        mode=mode,
        period=period,
        as_of=FIRST + timedelta(days=step),
        load_id=UUID(int=dice.getrandbits(128)),
    )

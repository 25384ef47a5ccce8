"""The cells of one column of a made-up schedule, quirks included."""

from dataclasses import dataclass
from functools import cached_property
from zlib import crc32

import numpy as np
import polars as pl

from contracts import Period
from ops.portal.banks import Banks
from ops.portal.layout import Column

_PERCENT_SINCE = Period(2015, 1)
_RESTATED_SHARE = 0.01
_CONFIDENTIAL_COLUMNS = 37  # every so many amounts a column has some cells that say CONF
_UNANSWERED = 0.6
_NOTES = (
    "Goodwill of a branch",
    "Prepaid expenses\nand deferred charges",
    'So-called "other" items',
    "0.00000000",
    "N/A",
    "Accrued interest; see note 4",
)
_SHARES = {  # of total assets
    "RCFD2170": 1.0,
    "RCON2170": 1.0,
    "RCFD2122": 0.61,
    "RCON2122": 0.61,
    "RCON2200": 0.78,
    "RCFD3210": 0.11,
    "RCON3210": 0.11,
    "RIAD4340": 0.0027,
    "RIAD4107": 0.011,
    "RIAD4073": 0.002,
}


@dataclass(frozen=True)
class Setting:
    """The world a column is made for."""

    banks: Banks
    period: Period
    restated: int = 0

    @cached_property
    def assets(self) -> np.ndarray:
        """Total assets per bank."""
        return self.banks.assets(self.period)

    def random(self, *what: str | int) -> np.random.Generator:
        """Return numbers that depend on the seed and on `what`, and on nothing else."""
        words = [crc32(item.encode()) if isinstance(item, str) else item for item in what]
        return np.random.default_rng([self.banks.seed, *words])


def column_cells(
    column: Column, position: int, schedule: str, part: int, setting: Setting
) -> pl.Series:
    """Return one cell per bank, as text or numbers ready to be written; null means empty."""
    random = setting.random(column.code, setting.period.index)
    name = f"{position}"
    match column.kind:
        case "confidential":
            return pl.Series(name, ["CONF"] * setting.banks.count)
        case "flag":
            return _flags(name, column, setting, random)
        case "ratio":
            return _ratios(name, column, setting, random)
        case "note":
            return _notes(name, column, setting, random)
        case "date" | "code":
            return _codes(name, column, setting)
        case "amount":
            cells = _amounts(name, column, setting, random)
    if position % _CONFIDENTIAL_COLUMNS == _CONFIDENTIAL_COLUMNS - 1 and part == 1:
        hidden = random.random(setting.banks.count) < 0.01  # noqa: PLR2004  # one in a hundred
        hidden &= schedule not in {"RC", "RI"}
        mask = pl.Series(hidden)
        cells = cells.cast(pl.String).set(mask, "CONF") if hidden.any() else cells
    return cells


def _amounts(name: str, column: Column, setting: Setting, random: np.random.Generator) -> pl.Series:
    """Thousands of dollars; RCFD only from banks with foreign offices, RCON from the others."""
    count = setting.banks.count
    known = _SHARES.get(column.code)
    if known is None:
        shape = setting.random(column.code)
        share = 10 ** shape.uniform(-6, -1.5)
        # Many items concern few banks, some none at all.
        reporting = max(0.0, shape.beta(0.9, 0.6) - 0.02)
        present = random.random(count, dtype=np.float32) < reporting
        spread = np.exp(random.standard_normal(count, dtype=np.float32))
    else:
        share = known
        present = np.ones(count, dtype=bool)
        spread = np.ones(count)
        if known < 1:
            spread = 1 + 0.2 * random.standard_normal(count)
    if column.code.startswith("RCFD"):
        present = present & setting.banks.foreign
    elif known is not None and column.code.startswith("RCON") and column.code != "RCON2200":
        present = present & ~setting.banks.foreign
    values = (setting.assets * share * spread).astype(np.int64)
    values = _restate(values, column, setting)
    return pl.Series(name, values).set(pl.Series(~present), None)


def _restate(values: np.ndarray, column: Column, setting: Setting) -> np.ndarray:
    if not setting.restated or not column.code.startswith(("RIAD4", "RCON2", "RCFD2")):
        return values
    random = setting.random("restated", setting.period.index, setting.restated)
    changed = random.random(setting.banks.count) < _RESTATED_SHARE
    result: np.ndarray = np.where(changed, values + 1000 * setting.restated, values)
    return result


def _flags(name: str, column: Column, setting: Setting, random: np.random.Generator) -> pl.Series:
    count = setting.banks.count
    true = random.random(count) < 0.3  # noqa: PLR2004  # a minority says yes
    words = np.where(true, "true", "false")
    shouting = random.integers(0, count)  # one bank spells it TRUE, as one real bank does
    words[shouting] = words[shouting].upper()
    absent = random.random(count) < (
        0.2 if column.code == "RCON6979" else 0.6
    )  # most do not answer
    return pl.Series(name, words.tolist()).set(pl.Series(absent), None)


def _ratios(name: str, column: Column, setting: Setting, random: np.random.Generator) -> pl.Series:
    """`10.0059%` since 2015, `0.100059` before; RCFA for banks with foreign offices."""
    values = 0.09 + 0.03 * np.abs(random.standard_normal(setting.banks.count))
    if setting.period >= _PERCENT_SINCE:
        texts = [f"{value * 100:.4f}%" for value in values]
    else:
        texts = [f"{value:.6f}" for value in values]
    foreign = column.code[:4] in {"RCFA", "RCFD"}
    mine = setting.banks.foreign if foreign else ~setting.banks.foreign
    return pl.Series(name, texts).set(pl.Series(~mine), None)


def _notes(name: str, column: Column, setting: Setting, random: np.random.Generator) -> pl.Series:
    count = setting.banks.count
    texts = [_NOTES[pick] for pick in random.integers(0, len(_NOTES), count)]
    silent = random.random(count) < (0.98 if column.code == "TEXT6980" else 0.9)  # few explain
    return pl.Series(name, texts).set(pl.Series(silent), None)


def _codes(name: str, column: Column, setting: Setting) -> pl.Series:
    rows = range(setting.banks.count)
    match column.code:
        case "RCON9999":
            cells: list[str | None] = [f"{setting.period.end:%Y%m%d}" for _ in rows]
        case "RSSD9050":
            numbers = setting.random(column.code).integers(1, 60_000, setting.banks.count)
            cells = [f"{number:05d}" for number in numbers]
        case "RIAD9106":
            # Where there is no date the site writes nothing, 0 or 00000000.
            cells = [(None, "0", "00000000", "20010630")[min(row % 40, 3)] for row in rows]
            cells = [cell if row % 40 <= 3 else None for row, cell in zip(rows, cells, strict=True)]  # noqa: PLR2004  # the four kinds above
        case "RCON8678":
            cells = [
                ("1231", "12/31", f"12/31/{setting.period.year}", None)[row % 4] for row in rows
            ]
        case _:
            cells = [("1a", "2b", "3", None)[row % 4] for row in rows]
    return pl.Series(name, cells, dtype=pl.String)

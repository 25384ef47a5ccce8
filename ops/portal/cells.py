"""The cells of one column of a made-up schedule, quirks included."""

from dataclasses import dataclass
from functools import cached_property
from zlib import crc32

import numpy as np
import polars as pl

from contracts import Period
from ops.portal.banks import Banks
from ops.portal.layout import Column
from ops.portal.statements import statements

_PERCENT_SINCE = Period(2015, 1)
_RESTATED_SHARE = 0.01
_CONFIDENTIAL_COLUMNS = 37  # every so many amounts a column has some cells that say CONF
_CONFIDENTIAL_SHARE = 0.01
_LOSS_COLUMNS_SHARE = 0.1  # of income items: may be negative
_LOSS_SHARE = 0.05
_YES_SHARE = 0.3
# Most banks leave most questions open; NARR asks every bank the same one.
_UNANSWERED = 0.6
_UNANSWERED_BY_CODE = {"RCON6979": 0.2}
_UNEXPLAINED = 0.9
_UNEXPLAINED_BY_CODE = {"TEXT6980": 0.98}
_NOTES = (
    "Goodwill of a branch",
    "Prepaid expenses\nand deferred charges",
    'So-called "other" items',
    '"Suspense" accounts',
    'Signs of 12" and more',
    "Caf? lease",
    "0.00000000",
    "N/A",
    "Accrued interest; see note 4",
    "The bank explains at length. " * 50 + "End",
)
_DATES_OF_PUSH_DOWN = (None, "0", "00000000", "20010630")  # the first three mean none
_BANKS_PER_PUSH_DOWN = 40
_AUDIT_INDICATORS = ("1a", "2b", "3", None)


@dataclass(frozen=True)
class Setting:
    """The world a column is made for."""

    banks: Banks
    period: Period
    restated: int = 0

    @cached_property
    def figures(self) -> dict[str, np.ndarray]:
        """What has to go together, by item."""
        return statements(self.banks, self.period)

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
        hidden = random.random(setting.banks.count) < _CONFIDENTIAL_SHARE
        hidden &= schedule not in {"RC", "RI"}
        mask = pl.Series(hidden)
        cells = cells.cast(pl.String).set(mask, "CONF") if hidden.any() else cells
    return cells


def _amounts(name: str, column: Column, setting: Setting, random: np.random.Generator) -> pl.Series:
    """Thousands of dollars; RCFD only from banks with foreign offices."""
    series, item = column.code[:4], column.code[4:]
    values = setting.figures.get(item)
    if values is None:
        values, present = _made_up_amounts(column, setting, random)
    else:
        present = np.ones(setting.banks.count, dtype=bool)
        # With foreign offices a bank reports the item for all of them, deposits for both.
        if series == "RCON" and item != "2200":
            present = ~setting.banks.foreign
    if series == "RCFD":
        present = present & setting.banks.foreign
    values = _restate(values, column, setting)
    return pl.Series(name, values).set(pl.Series(~present), None)


def _made_up_amounts(
    column: Column, setting: Setting, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return values, and who reports one: the same banks in every quarter."""
    shape, count = setting.random(column.code), setting.banks.count
    share = 10 ** shape.uniform(-6, -1.5)
    # Many items concern few banks, some none at all.
    reporting = max(0.0, shape.beta(0.9, 0.6) - 0.02)
    present = shape.random(count, dtype=np.float32) < reporting
    spread = np.exp(random.standard_normal(count, dtype=np.float32))
    if column.code.startswith("RIAD"):
        spread *= setting.period.quarter  # the year so far
        if shape.random() < _LOSS_COLUMNS_SHARE:
            spread[random.random(count) < _LOSS_SHARE] *= -1
    values = (setting.figures["2170"] * share * spread).astype(np.int64)
    return values, present


def _restate(values: np.ndarray, column: Column, setting: Setting) -> np.ndarray:
    if not setting.restated or not column.code.startswith(("RIAD4", "RCON2", "RCFD2")):
        return values
    random = setting.random("restated", setting.period.index, setting.restated)
    count = setting.banks.count
    changed = random.permutation(count)[: max(1, round(count * _RESTATED_SHARE))]
    result = values.copy()
    result[changed] += 1000 * setting.restated
    return result


def _flags(name: str, column: Column, setting: Setting, random: np.random.Generator) -> pl.Series:
    count = setting.banks.count
    words = np.where(random.random(count) < _YES_SHARE, "true", "false")
    shouting = random.integers(0, count)  # one bank spells it TRUE, as one real bank does
    words[shouting] = words[shouting].upper()
    absent = random.random(count) < _UNANSWERED_BY_CODE.get(column.code, _UNANSWERED)
    absent[shouting] = False
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
    silent = random.random(count) < _UNEXPLAINED_BY_CODE.get(column.code, _UNEXPLAINED)
    return pl.Series(name, texts).set(pl.Series(silent), None)


def _codes(name: str, column: Column, setting: Setting) -> pl.Series:
    rows = range(setting.banks.count)
    cells: list[str | None]
    match column.code:
        case "RCON9999":
            cells = [f"{setting.period.end:%Y%m%d}" for _ in rows]
        case "RSSD9050":
            cells = [f"{number:05d}" for number in setting.banks.certificates]
        case "RIAD9106":
            known = dict(enumerate(_DATES_OF_PUSH_DOWN))
            cells = [known.get(row % _BANKS_PER_PUSH_DOWN) for row in rows]
        case "RCON8678":
            spellings = ("1231", "12/31", f"12/31/{setting.period.year}", None)
            cells = [spellings[row % len(spellings)] for row in rows]
        case _:
            cells = [_AUDIT_INDICATORS[row % len(_AUDIT_INDICATORS)] for row in rows]
    return pl.Series(name, cells, dtype=pl.String)

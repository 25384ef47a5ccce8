"""Which files a quarter has and how many columns each: measured on the real zips of several years.

The numbers count columns with IDRSSD, as in the files of 2013-03-31 (old) and 2020-09-30 (new).
"""

from dataclasses import dataclass
from typing import Literal

from contracts import Period

Kind = Literal["amount", "flag", "ratio", "note", "date", "code", "confidential"]

_NEW_FORMS = Period(2015, 1)
_Counts = tuple[int, ...]
# Files that exist in every quarter: columns per part, old and new.
_ALWAYS: dict[str, tuple[_Counts, _Counts]] = {
    "CI": ((41,), (45,)),
    "ENT": ((7,), (8,)),
    "GI": ((1,), (1,)),
    "GL": ((1,), (1,)),
    "NARR": ((3,), (3,)),
    "RC": ((80,), (80,)),
    "RCA": ((18,), (12,)),
    "RCB": ((241, 75), (241, 55)),
    "RCCI": ((195,), (160,)),
    "RCCII": ((31,), (31,)),
    "RCD": ((139,), (87,)),
    "RCE": ((42,), (47,)),
    "RCEI": ((42,), (47,)),
    "RCEII": ((8,), (8,)),
    "RCF": ((42,), (42,)),
    "RCG": ((29,), (31,)),
    "RCH": ((30,), (35,)),
    "RCI": ((3,), (3,)),
    "RCK": ((34,), (34,)),
    "RCL": ((241, 90), (241, 46)),
    "RCM": ((108,), (123,)),
    "RCN": ((241, 120), (241, 37)),
    "RCO": ((99,), (241, 170)),
    "RCP": ((26,), (10,)),
    "RCQ": ((241, 59), (241, 59)),
    "RCS": ((221,), (102,)),
    "RCT": ((241, 28), (241, 28)),
    "RCV": ((109,), (41,)),
    "RI": ((88,), (98,)),
    "RIA": ((13,), (13,)),
    "RIBI": ((58,), (52,)),
    "RIBII": ((12,), (29,)),
    "RID": ((16,), (16,)),
    "RIE": ((55,), (57,)),
}
# Files that came and went: name, first quarter, first quarter without, columns per part.
_FOR_A_WHILE: tuple[tuple[str, Period, Period, _Counts], ...] = (
    ("RIC", Period(2013, 1), Period(2019, 1), (87,)),
    ("RICI", Period(2019, 1), Period(9999, 1), (87,)),
    ("RICII", Period(2019, 1), Period(9999, 1), (41,)),
    ("RIC", Period(2019, 3), Period(9999, 1), (21,)),
    ("SU", Period(2017, 1), Period(9999, 1), (38,)),
    ("RCR", Period(2001, 1), Period(2014, 1), (241, 145)),
    ("RCRIA", Period(2014, 1), Period(2015, 1), (131,)),
    ("RCRIB", Period(2014, 1), Period(2015, 1), (131,)),
    ("RCRII", Period(2014, 1), Period(2015, 1), (241, 145)),
    ("RCRI", Period(2015, 1), Period(9999, 1), (157,)),
    ("RCRII", Period(2015, 1), Period(2017, 1), (241, 241, 100)),
    ("RCRII", Period(2017, 1), Period(9999, 1), (241, 241, 241, 23)),
)
# Codes that mean in the made-up files what they mean in the real ones.
_KNOWN: dict[str, tuple[tuple[str, Kind, str], ...]] = {
    "ENT": (
        ("RCON9999", "date", "REPORTING DATE (CC,YR,MO,DA)"),
        ("RSSD9050", "code", "FDIC CERTIFICATE NUMBER"),
    ),
    "RC": (
        ("RCFD2170", "amount", "TOTAL ASSETS"),
        ("RCON2170", "amount", "TOTAL ASSETS"),
        ("RCFD2122", "amount", "TOTAL LOANS AND LEASES, NET OF UNEAR"),
        ("RCON2122", "amount", "TOTAL LOANS AND LEASES, NET OF UNEAR"),
        ("RCON2200", "amount", "TOTAL DEPOSITS"),
        ("RCFD3210", "amount", "TOTAL EQUITY CAPITAL"),
        ("RCON3210", "amount", "TOTAL EQUITY CAPITAL"),
        ("RCON6724", "code", "AUDIT INDICATOR"),
        ("RCON8678", "code", "FISCAL YEAR END"),
    ),
    "RCL": (("RCFDA126", "amount", "INTEREST RATE CONTRACTS, NOTIONAL"),),
    "RI": (
        ("RIAD4340", "amount", "NET INCOME (LOSS)"),
        ("RIAD4107", "amount", "TOTAL INTEREST INCOME"),
        ("RIAD4073", "amount", "TOTAL INTEREST EXPENSE"),
        ("RIAD9106", "date", "DATE OF PUSH-DOWN ACCOUNTING"),
    ),
    "RCRI": (
        ("RCFA7204", "ratio", "TIER 1 LEVERAGE RATIO"),
        ("RCOA7204", "ratio", "TIER 1 LEVERAGE RATIO"),
        ("RCFA7206", "ratio", "TIER 1 CAPITAL RATIO"),
        ("RCOA7206", "ratio", "TIER 1 CAPITAL RATIO"),
        ("RCFA7205", "ratio", "TOTAL CAPITAL RATIO"),
        ("RCOA7205", "ratio", "TOTAL CAPITAL RATIO"),
    ),
    "RCR": (
        ("RCFD7204", "ratio", "TIER 1 LEVERAGE RATIO"),
        ("RCON7204", "ratio", "TIER 1 LEVERAGE RATIO"),
    ),
    "NARR": (
        ("RCON6979", "flag", "DOES THE INSTITUTION COMMENT"),
        ("TEXT6980", "note", "NARRATIVE STATEMENT"),
    ),
    "RIE": tuple((f"TEXT44{number}", "note", f"TEXT: ITEM {number}") for number in range(61, 69)),
    "RCF": (("TEXT3549", "note", "TEXT: ALL OTHER ASSETS"),),
    "RCQ": (("TEXT8305", "note", "TEXT: TRADING ASSETS"),),
    "RCM": (("TEXT4087", "note", "PRIMARY INTERNET WEB SITE ADDRESS"),),
}


@dataclass(frozen=True)
class Column:
    """One code of a schedule."""

    code: str
    kind: Kind
    description: str


@dataclass(frozen=True)
class Part:
    """One file of a schedule; `number` of `parts` when the schedule has several."""

    schedule: str
    columns: tuple[Column, ...]
    number: int = 1
    parts: int = 1

    def file_name(self, period: Period) -> str:
        """Return the member's name, spelt as the site spells it."""
        suffix = f"({self.number} of {self.parts})" if self.parts > 1 else ""
        return f"FFIEC CDR Call Schedule {self.schedule} {period.end:%m%d%Y}{suffix}.txt"


def parts_of(period: Period) -> list[Part]:
    """Return every schedule file of a quarter, in the order of its name."""
    new = period >= _NEW_FORMS
    counts = {name: both[new] for name, both in _ALWAYS.items()}
    counts |= {name: parts for name, first, end, parts in _FOR_A_WHILE if first <= period < end}
    found: list[Part] = []
    for schedule, per_part in sorted(counts.items()):
        # RCE and RCEI are the same file, byte for byte.
        columns = _columns("RCE" if schedule == "RCEI" else schedule, sum(per_part) - len(per_part))
        start = 0
        for position, count in enumerate(per_part, start=1):
            chosen = columns[start : start + count - 1]
            found.append(Part(schedule, chosen, position, len(per_part)))
            start += count - 1
    return found


def _columns(schedule: str, wanted: int) -> tuple[Column, ...]:
    known = [Column(*parts) for parts in _KNOWN.get(schedule, ())][:wanted]
    made_up = [_made_up(schedule, number) for number in range(wanted - len(known))]
    return tuple(known + made_up)


def _made_up(schedule: str, number: int) -> Column:
    """Make a code that looks like the others and belongs to this schedule alone.

    No real code has Y or Z after its prefix, so none is given another meaning here.
    """
    place = sorted({*_ALWAYS, *(name for name, *_ in _FOR_A_WHILE)}).index(schedule)
    income = schedule.startswith("RI")
    # Balance-sheet items come in pairs: RCFD for all offices, RCON for domestic ones.
    serial = place * 400 + (number if income else number // 2)
    item = f"{'YZ'[serial // 10_000]}{_letters(serial % 10_000)}"
    prefix = "RIAD" if income else ("RCFD", "RCON")[number % 2]
    kind: Kind = "amount"
    if schedule == "CI":
        kind = "confidential"
    elif number % 41 == 40:  # noqa: PLR2004  # about one flag in forty, as in the real files
        kind = "flag"
    description = f"{schedule} ITEM {number + 1}" if number % 29 else ""
    return Column(f"{prefix}{item}", kind, description)


def _letters(serial: int) -> str:
    """Three characters for a serial number below 36³: `000` … `ZZZ`."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    high, low = divmod(serial, 36)
    return f"{digits[high // 36]}{digits[high % 36]}{digits[low]}"

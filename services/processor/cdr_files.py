"""Member names of a call-report zip, and the tables they make up."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from contracts import Period
from shared.errors import UnexpectedMember

PANEL = "por"
_SCHEDULE = re.compile(
    r"FFIEC CDR Call Schedule (?P<table>[A-Z0-9]+) (?P<day>\d{8})"
    r"(?:\((?P<part>\d+) of (?P<parts>\d+)\))?\.txt"
)
_PANEL = re.compile(r"FFIEC CDR Call Bulk POR (?P<day>\d{8})\.txt")
# The site's own note to people; it holds no data.
_NOTES = frozenset({"readme.txt"})


@dataclass(frozen=True, order=True)
class Member:
    """One file of the zip: part `part` of the `parts` parts of table `table`."""

    table: str
    part: int
    parts: int
    name: str


def member_named(name: str, period: Period) -> Member | None:
    """Read a member's name; None when it is not one of the files that hold data.

    Raises:
        UnexpectedMember: the name carries another quarter's date, or part 3 of 2.
    """
    schedule = _SCHEDULE.fullmatch(name)
    found = schedule or _PANEL.fullmatch(name)
    if found is None:
        return None
    if found["day"] != period.end.strftime("%m%d%Y"):
        raise UnexpectedMember(f"{name!r} is not a file of {period}, which ends {period.end}")
    if schedule is None:
        return Member(PANEL, 1, 1, name)
    part, parts = int(schedule["part"] or 1), int(schedule["parts"] or 1)
    if not 1 <= part <= parts:
        raise UnexpectedMember(f"{name!r} says it is part {part} of {parts}")
    return Member(schedule["table"].lower(), part, parts, name)


def tables_of(
    names: Iterable[str], period: Period
) -> tuple[dict[str, tuple[Member, ...]], tuple[str, ...]]:
    """Group members by table, parts in order; and name those that no table is made of.

    Raises:
        UnexpectedMember: another quarter's file, a part twice, or parts that disagree on how
            many there are.
    """
    grouped: dict[str, list[Member]] = {}
    others: list[str] = []
    for name in names:
        member = member_named(name, period)
        if member is not None:
            grouped.setdefault(member.table, []).append(member)
        elif name.lower() not in _NOTES:
            others.append(name)
    tables = {table: tuple(sorted(members)) for table, members in sorted(grouped.items())}
    _refuse_contradictions(tables)
    return tables, tuple(sorted(others))


def _refuse_contradictions(tables: Mapping[str, tuple[Member, ...]]) -> None:
    for table, members in tables.items():
        names = ", ".join(repr(member.name) for member in members)
        if len({member.parts for member in members}) > 1:
            raise UnexpectedMember(f"{table}: the parts disagree on how many there are: {names}")
        if len({member.part for member in members}) < len(members):
            raise UnexpectedMember(f"{table}: the same part came twice: {names}")

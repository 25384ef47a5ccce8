"""What the names in a folder say: is it the right quarter, and are all parts there. Pure."""

import re
from collections import defaultdict
from collections.abc import Iterable

from contracts import Period, PortalSource
from shared.errors import UnexpectedDownload


def check_quarter(names: Iterable[str], source: PortalSource, period: Period) -> None:
    """Refuse a folder whose members are of another quarter, or not the source's at all.

    Raises:
        UnexpectedDownload: the sentence names a member.
    """
    expected = f"{period.end:%m%d%Y}"
    found = False
    for name in names:
        match = re.fullmatch(source.member_pattern, name)
        if match is None:
            continue
        found = True
        if match["date"] != expected:
            raise UnexpectedDownload(f"{name!r} is not of {period} ({expected})")
    if not found:
        raise UnexpectedDownload(
            f"no member is named like the {source.file_format} files of {source.product!r}"
        )


def missing_parts(names: Iterable[str], source: PortalSource) -> list[str]:
    """Return a sentence per table of which some parts, but not all, are in the folder."""
    present: dict[tuple[str, int], set[int]] = defaultdict(set)
    for name in names:
        match = re.fullmatch(source.member_pattern, name)
        if match and match["part"]:
            present[match["table"], int(match["parts"])].add(int(match["part"]))
    sentences: list[str] = []
    for (table, parts), found in sorted(present.items()):
        missing = sorted(set(range(1, parts + 1)) - found)
        if missing:
            numbers = ", ".join(map(str, missing))
            sentences.append(f"{table}: part {numbers} of {parts} is missing from the source")
    return sentences

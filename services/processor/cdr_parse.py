"""A call-report file as it really is: from bytes to records, nothing lost and nothing guessed.

Records end in CR LF, in schedules after a tab; a bare LF is part of a text. There is no quoting.
The first line names the columns; in schedules the second one describes them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.processor.cdr_files import PANEL, Member
from shared.errors import SchemaMismatch

KEY = "idrssd"
# The start of a file in which both header lines lie: at most 242 codes and descriptions.
HEAD_BYTES = 128 * 1024
_BOM = b"\xef\xbb\xbf"
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
# Control characters that can stand in for another; never NUL, TAB, LF or CR.
_STAND_INS = tuple(bytes([code]) for code in (*range(0x1F, 0x0D, -1), *range(8, 0, -1)))


@dataclass(frozen=True)
class Header:
    """Columns as written, without the key, and what the file says about each."""

    columns: tuple[str, ...]
    descriptions: tuple[str, ...]
    trailing_tab: bool


@dataclass(frozen=True)
class SourceText:
    """One member: its header and its data records, each still one piece of UTF-8.

    `stand_ins` maps a character in the records to the line break inside text that it stands for.
    """

    member: Member
    header: Header
    records: list[bytes]
    encoding: str
    stand_ins: Mapping[str, str] = field(default_factory=dict)

    def record(self, row_number: int) -> str:
        """Return record `row_number` (from 1) as it was in the file, without its end."""
        return _restored(self.records[row_number - 1].decode("utf-8"), self.stand_ins)


def read_text(data: bytes, member: Member) -> SourceText:
    """Take a member apart into header and records; `data` may be just its first `HEAD_BYTES`.

    Raises:
        SchemaMismatch: the header lines are not those of such a file.
    """
    text, encoding = _as_utf8(data.removeprefix(_BOM))
    text, stand_ins = _mark_record_ends(text)
    header_lines = 1 if member.table == PANEL else 2
    *head, body = (*text.split(b"\n", header_lines), b"")[: header_lines + 1]
    names = [_restored(line.decode("utf-8"), stand_ins) for line in head]
    header = _read_header(names, member)
    records = body.split(b"\n")
    if records[-1] == b"":
        records.pop()
    return SourceText(member, header, records, encoding, stand_ins)


def unused_characters(data: bytes, count: int) -> list[bytes]:
    """Return control characters that do not occur in `data`."""
    free = [stand_in for stand_in in _STAND_INS if stand_in not in data]
    if len(free) < count:
        raise SchemaMismatch("the file uses nearly every control character; it is not text")
    return free[:count]


def _restored(text: str, stand_ins: Mapping[str, str]) -> str:
    return text.translate({ord(key): value for key, value in stand_ins.items()})


def _as_utf8(data: bytes) -> tuple[bytes, str]:
    if data.isascii():
        return data, "ascii"
    for encoding in ("utf-8", "cp1252"):
        try:
            return data.decode(encoding).encode("utf-8"), encoding
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1").encode("utf-8"), "latin-1"


def _mark_record_ends(data: bytes) -> tuple[bytes, dict[str, str]]:
    """Make LF mean end of record; line breaks inside text get stand-ins."""
    record_end = b"\r\n" if b"\r\n" in data else b"\n"
    ends = data.count(record_end)
    if data.count(b"\n") == ends and data.count(b"\r") == ends * record_end.count(b"\r"):
        return data.replace(record_end, b"\n"), {}
    end, line_feed, carriage_return = unused_characters(data, 3)
    data = data.replace(record_end, end)
    data = data.replace(b"\n", line_feed).replace(b"\r", carriage_return)
    stand_ins = {line_feed.decode("ascii"): "\n", carriage_return.decode("ascii"): "\r"}
    return data.replace(end, b"\n"), stand_ins


def _read_header(lines: list[str], member: Member) -> Header:
    first, *names = lines[0].split("\t")
    if first.strip('"').lower() != KEY:
        raise SchemaMismatch(f"{member.name!r} starts with {first[:40]!r}, not with {KEY.upper()}")
    trailing_tab = bool(names) and names[-1] == ""
    if trailing_tab:
        names.pop()
    if len({name.lower() for name in names}) < len(names):
        raise SchemaMismatch(f"{member.name!r} names a column twice in line 1")
    if member.table == PANEL:
        return Header(tuple(names), tuple(names), trailing_tab)
    for name in names:
        if not _CODE.fullmatch(name):
            raise SchemaMismatch(f"{member.name!r} line 1: {name[:40]!r} is not a code")
    blank, *descriptions = lines[1].split("\t")
    if blank or len(descriptions) != len(names) + trailing_tab:
        raise SchemaMismatch(
            f"{member.name!r} line 2 does not describe the {len(names)} columns of line 1"
        )
    stripped = tuple(text.strip() for text in descriptions[: len(names)])
    return Header(tuple(names), stripped, trailing_tab)

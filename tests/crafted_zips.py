"""Zips as nobody should send them, written by hand where the standard library refuses to."""

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from contracts import Period

_SIZE_IN_DIRECTORY = 24
_CRC_IN_DIRECTORY = 16
_DIRECTORY_ENTRY = b"PK\x01\x02"
_FIRST_MEMBER_HEADER = 30


def zip_of(files: Mapping[str, bytes], change: Callable[[ZipInfo], None] = lambda _: None) -> bytes:
    """Return a zip of `files`; `change` may spoil each entry before it is written."""
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            info = ZipInfo(name)
            info.compress_type = ZIP_DEFLATED
            change(info)
            archive.writestr(info, data)
    return buffer.getvalue()


def renamed(archive: bytes, old: bytes, new: bytes) -> bytes:
    """Return the zip with a member's name changed in both of its places."""
    assert len(old) == len(new)
    assert archive.count(old) == 2
    return archive.replace(old, new)


def declaring(archive: bytes, *, size: int, crc_of: bytes | None = None) -> bytes:
    """Return a zip of one member with another size, and maybe checksum, in its directory."""
    changed = bytearray(archive)
    entry = archive.index(_DIRECTORY_ENTRY)
    struct.pack_into("<L", changed, entry + _SIZE_IN_DIRECTORY, size)
    if crc_of is not None:
        struct.pack_into("<L", changed, entry + _CRC_IN_DIRECTORY, zlib.crc32(crc_of))
    return bytes(changed)


def damaged(archive: bytes, name: str) -> bytes:
    """Return the zip with the first member's first compressed byte turned around."""
    changed = bytearray(archive)
    changed[_FIRST_MEMBER_HEADER + len(name)] ^= 0xFF
    return bytes(changed)


def written(folder: Path, data: bytes, name: str = "from outside.zip") -> Path:
    """Put bytes on disk."""
    path = folder / name
    path.write_bytes(data)
    return path


def quarter_files(period: Period, *schedules: str) -> dict[str, bytes]:
    """Return a small folder of a quarter; schedules like `RC` or `RCB(1 of 2)`."""
    day = f"{period.end:%m%d%Y}"
    files = {f"FFIEC CDR Call Bulk POR {day}.txt": b'"IDRSSD"\r\n', "Readme.txt": b"Hello \r\n"}
    for schedule in schedules:
        table, bracket, part = schedule.partition("(")
        name = f"FFIEC CDR Call Schedule {table} {day}{bracket}{part}.txt"
        files[name] = f'"IDRSSD"\t{schedule}\t\r\n\t\t\r\n'.encode()
    return files

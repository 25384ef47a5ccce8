"""Zips from outside: what they may contain, and taking them apart without trusting them."""

import copy
import hashlib
import re
import stat
import struct
import unicodedata
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from contracts import MANIFEST_NAME
from shared.errors import UnexpectedDownload, UnsafeArchive

ZIP_START = b"PK\x03\x04"
_CHUNK_BYTES = 1024 * 1024
_ENCRYPTED = 0x1
# A nested zip begins with a member, with its end when empty, or with the mark of a split one.
_ZIP_STARTS = (ZIP_START, b"PK\x05\x06", b"PK\x07\x08")
# With its folder a name must stay below the 1,024 bytes of an S3 key.
_NAME_BYTES = 255
# What Python's reader raises on damaged directories and data.
_DAMAGED = (BadZipFile, EOFError, NotImplementedError, OverflowError, ValueError, struct.error)
_DRIVE = re.compile(r"^[A-Za-z]:")
# DEFLATE itself cannot exceed 1032; tiny files of blanks come near it and harm nobody.
_RATIO_MATTERS_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Caps:
    """What an archive may hold at most; `ratio` is inflated to stored size of one member."""

    member_bytes: int = 1024**3
    total_bytes: int = 4 * 1024**3
    members: int = 2_000
    ratio: int = 200


@dataclass(frozen=True)
class Extracted:
    """A member on disk, with what was really inflated."""

    name: str
    path: Path
    bytes: int
    sha256: str


def members_of(archive: Path, caps: Caps) -> list[ZipInfo]:
    """List the files of an archive, after checking every name and declared size.

    Raises:
        UnexpectedDownload: it is not a zip.
        UnsafeArchive: a name or a size must not be trusted; the sentence names the member.
    """
    try:
        with ZipFile(archive) as opened:
            infos = opened.infolist()
    except _DAMAGED as error:
        raise UnexpectedDownload(f"{archive.name} is not a readable zip: {error}") from error
    if len(infos) > caps.members:
        raise UnsafeArchive(f"{archive.name} has {len(infos)} members, {caps.members} are allowed")
    for info in infos:
        if not 0 <= info.header_offset < archive.stat().st_size:
            raise UnexpectedDownload(f"{archive.name}: member {info.filename!r} is outside of it")
        _check_name(info)
        _check_kind(info)
        _check_size(info, caps)
    files = [info for info in infos if not info.is_dir()]
    seen = Counter(_comparable(info) for info in files)
    for info in files:
        if seen[_comparable(info)] > 1:
            raise UnsafeArchive(f"{archive.name} holds {info.filename!r} more than once")
    declared = sum(info.file_size for info in files)
    if declared > caps.total_bytes:
        raise UnsafeArchive(
            f"{archive.name} declares {declared} bytes in all, {caps.total_bytes} are allowed"
        )
    return files


def extract(archive: Path, info: ZipInfo, into: Path, caps: Caps) -> Extracted:
    """Inflate one member to a file in `into`; bytes are counted, not believed. Thread-safe.

    Raises:
        UnexpectedDownload: the member is damaged, or shorter than it declares.
        UnsafeArchive: it inflates to more than it declares or may, or is a zip itself.
    """
    path = into / hashlib.sha256(info.filename.encode()).hexdigest()[:32]
    digest = hashlib.sha256()
    size = 0
    allowed = min(info.file_size, caps.member_bytes)
    # Python stops reading at the declared size and says nothing of the rest; ask for more.
    longer = copy.copy(info)
    longer.file_size = allowed + _CHUNK_BYTES + 1
    try:
        # A handle of its own: threads that share one wait for each other at every read.
        with ZipFile(archive) as opened, opened.open(longer) as member, path.open("wb") as file:
            while chunk := member.read(_CHUNK_BYTES):
                if size == 0 and chunk.startswith(_ZIP_STARTS):
                    raise UnsafeArchive(f"member {info.filename!r} is a zip inside the zip")
                size += len(chunk)
                if size > allowed:
                    raise UnsafeArchive(
                        f"member {info.filename!r} inflates to more than the {allowed} bytes"
                        " it declares or may have"
                    )
                digest.update(chunk)
                file.write(chunk)
        if size < info.file_size:
            raise BadZipFile(f"{size} bytes of {info.file_size}")
    except (*_DAMAGED, zlib.error) as error:
        raise UnexpectedDownload(
            f"{archive.name}: member {info.filename!r} is damaged: {error}"
        ) from error
    return Extracted(info.filename, path, size, digest.hexdigest())


def _check_name(info: ZipInfo) -> None:
    # `filename` is already cut at the first NUL; the original is what the archive says.
    name = info.orig_filename
    reason = _why_unsafe(name)
    if reason is None and info.filename != name:
        reason = f"is also called {info.filename!r}"
    if reason:
        raise UnsafeArchive(f"member {name!r} {reason}")


def _why_unsafe(name: str) -> str | None:
    path = PurePosixPath(name)
    unsafe = {
        "has no name": not name,
        "holds a control character": any(unicodedata.category(one) == "Cc" for one in name),
        "holds a backslash": "\\" in name,
        "is an absolute path": name.startswith("/") or bool(_DRIVE.match(name)),
        "leads out of its folder": ".." in path.parts,
        "is not written in the simplest way": name.removesuffix("/") != str(path) or name == ".",
        "is the name of the manifest": path.name.casefold() == MANIFEST_NAME,
        f"is longer than {_NAME_BYTES} bytes": len(name.encode()) > _NAME_BYTES,
    }
    return next((reason for reason, applies in unsafe.items() if applies), None)


def _check_kind(info: ZipInfo) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    reason = None
    if kind == stat.S_IFLNK:
        reason = "is a symbolic link"
    elif kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        reason = "is neither a file nor a folder"
    elif info.flag_bits & _ENCRYPTED:
        reason = "is encrypted"
    elif info.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
        reason = f"is compressed by method {info.compress_type}, not deflated"
    elif info.filename.lower().endswith(".zip"):
        reason = "is a zip inside the zip"
    if reason:
        raise UnsafeArchive(f"member {info.filename!r} {reason}")


def _comparable(info: ZipInfo) -> str:
    """Return what two names share that some file system takes for one."""
    return unicodedata.normalize("NFC", info.filename.casefold())


def _check_size(info: ZipInfo, caps: Caps) -> None:
    if info.file_size > caps.member_bytes:
        raise UnsafeArchive(
            f"member {info.filename!r} declares {info.file_size} bytes, "
            f"{caps.member_bytes} are allowed"
        )
    stored = max(info.compress_size, 1)
    if info.file_size > _RATIO_MATTERS_BYTES and info.file_size / stored > caps.ratio:
        raise UnsafeArchive(
            f"member {info.filename!r} inflates {info.file_size // stored} times, "
            f"{caps.ratio} times are allowed"
        )

"""Zips from outside: what they may contain, and taking them apart without trusting them."""

import hashlib
import re
import stat
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from contracts import MANIFEST_NAME
from shared.errors import UnexpectedDownload, UnsafeArchive

ZIP_START = b"PK\x03\x04"
_CHUNK_BYTES = 1024 * 1024
_ENCRYPTED = 0x1
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
    except BadZipFile as error:
        raise UnexpectedDownload(f"{archive.name} is not a readable zip: {error}") from error
    if len(infos) > caps.members:
        raise UnsafeArchive(f"{archive.name} has {len(infos)} members, {caps.members} are allowed")
    for info in infos:
        _check_name(info)
        _check_kind(info)
        _check_size(info, caps)
    files = [info for info in infos if not info.is_dir()]
    seen = Counter(info.filename.casefold() for info in files)
    for info in files:
        if seen[info.filename.casefold()] > 1:
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
        UnexpectedDownload: the member is damaged.
        UnsafeArchive: it inflates to more than it declares or may, or is a zip itself.
    """
    path = into / hashlib.sha256(info.filename.encode()).hexdigest()[:32]
    digest = hashlib.sha256()
    size = 0
    try:
        # A handle of its own: threads that share one wait for each other at every read.
        with ZipFile(archive) as opened, opened.open(info) as member, path.open("wb") as file:
            while chunk := member.read(_CHUNK_BYTES):
                if size == 0 and chunk.startswith(ZIP_START):
                    raise UnsafeArchive(f"{info.filename!r} is a zip inside the zip")
                size += len(chunk)
                if size > min(info.file_size, caps.member_bytes):
                    raise UnsafeArchive(f"{info.filename!r} inflates to more than it declares")
                digest.update(chunk)
                file.write(chunk)
    except (BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise UnexpectedDownload(
            f"{archive.name}: member {info.filename!r} is damaged: {error}"
        ) from error
    return Extracted(info.filename, path, size, digest.hexdigest())


def _check_name(info: ZipInfo) -> None:
    # `filename` is already cut at the first NUL; the original is what the archive says.
    name = info.orig_filename
    parts = PurePosixPath(name).parts
    reason = None
    if not name or "\0" in name or any(ord(character) < ord(" ") for character in name):
        reason = "holds a control character"
    elif "\\" in name:
        reason = "holds a backslash"
    elif name.startswith("/") or _DRIVE.match(name):
        reason = "is an absolute path"
    elif ".." in parts:
        reason = "leads out of its folder"
    elif parts[-1] == MANIFEST_NAME:
        reason = "is the name of the manifest"
    if reason:
        raise UnsafeArchive(f"member {name!r} {reason}")


def _check_kind(info: ZipInfo) -> None:
    if stat.S_ISLNK(info.external_attr >> 16):
        raise UnsafeArchive(f"member {info.filename!r} is a symbolic link")
    if info.flag_bits & _ENCRYPTED:
        raise UnsafeArchive(f"member {info.filename!r} is encrypted")
    if info.filename.lower().endswith(".zip"):
        raise UnsafeArchive(f"member {info.filename!r} is a zip inside the zip")


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

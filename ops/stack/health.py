"""How each part is doing: process, memory, and the last error it wrote."""

import json
import os
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import psutil

from ops.stack.home import PARTS, Home, PartName, StackState
from ops.stack.running import dead_parts
from ops.stack.supervise import members

_TAIL_BYTES = 256 * 1024
_BAD_LEVELS = frozenset({"ERROR", "CRITICAL"})


@dataclass(frozen=True)
class PartStatus:
    """One part; `rss_bytes` is its own process, `children_bytes` what it started (browsers)."""

    part: PartName
    state: Literal["running", "dead", "stopped"]
    pid: int | None = None
    port: int | None = None
    since: datetime | None = None
    rss_bytes: int = 0
    children_bytes: int = 0
    last_error: str | None = None


def inspect_parts(home: Home, state: StackState) -> list[PartStatus]:
    """Look at every part; one that was started and is gone is `dead`."""
    dead = set(dead_parts(home, state))
    found: list[PartStatus] = []
    by_part: dict[str, list[psutil.Process]] = {}
    for process, part in members(home):
        by_part.setdefault(part, []).append(process)
    for part in PARTS:
        record = state.parts.get(part)
        if record is None:
            found.append(PartStatus(part, "stopped"))
            continue
        if part == "postgres" and part not in dead:
            main = psutil.Process(record.pid)
            family = [main, *main.children(recursive=True)]
        else:
            family = by_part.get(part, [])
        found.append(
            PartStatus(
                part=part,
                state="dead" if part in dead else "running",
                pid=record.pid,
                port=record.port,
                since=record.started_at,
                rss_bytes=sum(_rss(process) for process in family if process.pid == record.pid),
                children_bytes=sum(
                    _rss(process) for process in family if process.pid != record.pid
                ),
                last_error=last_error(home, part, record.log_offset),
            )
        )
    return found


def last_error(home: Home, part: PartName, since: int) -> str | None:
    """Return the newest error line since byte `since` of the part's log, shortened."""
    try:
        with home.log_of(part).open("rb") as log:
            log.seek(max(since, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return None
    for line in reversed(lines):
        said = _error_in(line)
        if said:
            return said
    return None


def _error_in(line: str) -> str | None:
    try:
        entry = json.loads(line)
    except ValueError:
        bare = line.strip()
        # The last line of a traceback that no logger caught starts with the error's name.
        named = bare.partition(":")[0].rpartition(".")[2]
        return bare if named.endswith(("Error", "Exception")) and " " not in named else None
    if not isinstance(entry, dict) or entry.get("level") not in _BAD_LEVELS:
        return None
    told = [str(entry.get("timestamp", "")), str(entry.get("message", ""))]
    return " ".join(text for text in (*told, str(entry.get("reason", ""))) if text)


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0

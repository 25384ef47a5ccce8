"""The folder that holds everything of one local stack, kept between runs: `.quarry/`."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pydantic import AwareDatetime, Field, ValidationError

from contracts.model import Contract
from ops.errors import CommandFailed

PartName = Literal[
    "postgres", "emulator", "portal", "generator", "collector", "processor", "loader"
]
PARTS: tuple[PartName, ...] = get_args(PartName)
ROOT = Path(__file__).parents[2]


class PartRecord(Contract):
    """A process as it was started; `fingerprint` is that of its command and environment."""

    pid: int
    port: int | None = None
    started_at: AwareDatetime
    fingerprint: str
    log_offset: int = Field(default=0, description="Where in its log this start begins.")


class StackState(Contract):
    """What has to be known to find, check and end the stack's processes."""

    parts: dict[PartName, PartRecord] = Field(default_factory=dict)
    ports: dict[PartName, int] = Field(
        default_factory=dict, description="Last used, and used again when still free."
    )
    zips: Path | None = Field(default=None, description="Folder the portal serves, if not made up.")
    banks: int | None = Field(default=None, description="Size of generated quarters, if small.")
    database_url: str | None = Field(default=None, description="Set when the server is not ours.")


@dataclass(frozen=True)
class Home:
    """Paths inside the stack's folder."""

    path: Path

    @property
    def logs(self) -> Path:
        """One file per part."""
        return self.path / "logs"

    @property
    def data(self) -> Path:
        """What the emulator and PostgreSQL keep."""
        return self.path / "data"

    def log_of(self, part: PartName) -> Path:
        """Return where the part's output goes; PostgreSQL writes beside its cluster."""
        if part == "postgres":
            return self.data / "postgres" / "postgres.log"
        return self.logs / f"{part}.log"

    def read(self) -> StackState:
        """Return the stored state; a missing or damaged file is an empty state.

        Processes are found by a mark in their environment too, so nothing is lost for good.
        """
        try:
            return StackState.model_validate_json((self.path / "state.json").read_bytes())
        except (FileNotFoundError, ValidationError):
            return StackState()

    def write(self, state: StackState) -> None:
        """Replace the stored state in one step."""
        unfinished = self.path / "state.json.new"
        unfinished.write_text(state.model_dump_json(indent=2))
        unfinished.replace(self.path / "state.json")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other `up` and `down` commands out.

        Raises:
            CommandFailed: another one is at work.
        """
        for folder in (self.path, self.logs, self.data):
            folder.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CommandFailed(
                    f"another quarry up or down is at work on {self.path}; try again when it ends"
                ) from None
            yield


def find_home() -> Home:
    """Return the folder named by `QUARRY_HOME`, else `.quarry` in the project."""
    return Home(Path(os.environ.get("QUARRY_HOME") or ROOT / ".quarry").resolve())

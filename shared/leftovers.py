"""Temporary folders named for their process, so that those of killed ones are found again."""

import os
import re
import shutil
import tempfile
from pathlib import Path

_NAME = re.compile(r"quarry-[a-z]+-(\d+)-")


def folder_prefix(purpose: str) -> str:
    """Return how the name of a temporary folder of this process begins."""
    return f"quarry-{purpose}-{os.getpid()}-"


def sweep(folder: Path | None = None) -> int:
    """Delete what killed services left in `folder`, by default the system's; return how many.

    To be called before this process has folders of its own: its number may have been another's.
    """
    folder = folder or Path(tempfile.gettempdir())
    found = [(path, _NAME.match(path.name)) for path in folder.iterdir()]
    left = [path for path, name in found if name and not _is_anothers(int(name[1]))]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return len(left)


def _is_anothers(pid: int) -> bool:
    """Say whether another process that runs has this number."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

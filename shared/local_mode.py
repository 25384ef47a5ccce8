"""Running on one's own machine: with `LOCAL_MODE=true` credentials come from the environment."""

import os
from pathlib import Path

from dotenv import dotenv_values

from shared.errors import InvalidRequest

VARIABLE = "LOCAL_MODE"
ENV_FILE = Path(".env")


def is_local() -> bool:
    """Say whether `LOCAL_MODE` is on.

    Raises:
        InvalidRequest: it is neither `true` nor `false`.
    """
    said = os.environ.get(VARIABLE, "false").lower()
    if said not in {"true", "false"}:
        raise InvalidRequest(f"{VARIABLE} is {said!r}; set it to true or false")
    return said == "true"


def read_env_file(path: Path = ENV_FILE) -> int:
    """Set what `.env` of the current folder says and the environment does not; return how much.

    Does nothing unless `LOCAL_MODE=true`. To be called before settings are read and clients made.
    """
    if not is_local():
        return 0
    found = {name: text for name, text in dotenv_values(path).items() if text is not None}
    new = {name: text for name, text in found.items() if name not in os.environ}
    os.environ.update(new)
    return len(new)

"""`quarry drop`: files into the inbox, where they are checked and loaded by themselves."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ops.commands.options import Env, Json
from ops.drop import Dropped
from ops.drop import drop as drop_files
from ops.screen import out, say
from ops.target import find_target


def drop(
    files: Annotated[list[Path], typer.Argument(help="Files to load.")],
    *,
    json: Json = False,
    env: Env = "local",
) -> None:
    """Upload files to the inbox. Their arrival starts a run; `quarry runs` shows it."""
    dropped = asyncio.run(drop_files(find_target(env), files))
    if json:
        out.print_json(data=[asdict(one) for one in dropped])
        return
    tell(dropped)


def tell(dropped: Sequence[Dropped]) -> None:
    """Print what each file is for."""
    for one in dropped:
        purpose = " or ".join(one.tables) or "no table: its name fits none, it will be rejected"
        out.print(f"{one.name}: {one.bytes:,} bytes, for {purpose}", highlight=False)
    say("they are picked up by themselves; look with: quarry runs")

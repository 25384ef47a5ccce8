"""Bringing files into the inbox of an environment's lake, where their datasets pick them up."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from contracts.datasets import all_datasets
from infra.names import INBOX
from ops.errors import CommandFailed
from ops.target import Target
from shared.aws import open_clients
from shared.lake import Lake


@dataclass(frozen=True)
class Dropped:
    """A file that lies in the inbox; `tables` are those its name fits, as `schema.table`."""

    name: str
    bytes: int
    tables: tuple[str, ...]


async def drop(target: Target, paths: Sequence[Path]) -> list[Dropped]:
    """Upload files under their own names, one after the other, in parts where they are large.

    Raises:
        CommandFailed: a file is not there, or two have one name.
    """
    names = [path.name for path in paths]
    for path in paths:
        if not path.is_file():
            raise CommandFailed(f"{path} is not a file")
        if names.count(path.name) > 1:
            raise CommandFailed(f"two files are called {path.name}; drop one after the other")
    os.environ.update(target.variables)
    async with open_clients() as clients:
        lake = Lake(clients.s3, target.names.bucket)
        for path in paths:
            await lake.upload(path, f"{INBOX}/{path.name}")
    return [
        Dropped(path.name, path.stat().st_size, tuple(_tables_for(path.name))) for path in paths
    ]


def _tables_for(name: str) -> Iterator[str]:
    for dataset in all_datasets().values():
        if dataset.source.kind == "s3_drop":
            for table in dataset.source.takers(name):
                yield f"{dataset.table_schema}.{table.name}"

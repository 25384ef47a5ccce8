"""Loaders and servers killed at named points: the tables are those of a quiet run.

`make soak` runs the same harness with many more kills.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures import server_folder
from tests.soak.harness import Arena, soak


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with server_folder() as folder:
        opened = Arena(folder / "data")
        yield opened
        opened.close()


async def test_kills_at_any_point_lose_and_double_nothing(arena: Arena, tmp_path: Path) -> None:
    report = await soak(arena, tmp_path, kills=25, seed=20)

    assert report.differences == []
    assert report.faults.total() >= 25
    assert {name.split(" ")[0] for name in report.faults} >= {"kill_loader", "cut_connection"}


async def test_a_loader_that_slept_while_another_took_over_commits_nothing(
    arena: Arena, tmp_path: Path
) -> None:
    report = await soak(arena, tmp_path, kills=4, seed=22, weights=(0, 0, 0, 1))

    assert report.taken_over >= 1
    assert report.differences == []


async def test_a_build_with_the_ledger_in_its_own_transaction_is_caught(
    arena: Arena, tmp_path: Path
) -> None:
    report = await soak(arena, tmp_path, kills=200, seed=21, build="broken")

    assert report.differences != []

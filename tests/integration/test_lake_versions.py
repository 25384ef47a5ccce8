"""What the lake does with one version of an object, against the emulator's S3."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.names import Names
from shared.aws import open_clients
from shared.lake import Lake


@pytest.fixture
async def lake(emulator: str) -> AsyncIterator[Lake]:
    """The local lake."""
    assert emulator
    async with open_clients() as clients:
        yield Lake(clients.s3, Names("local").bucket)


async def stored(lake: Lake, key: str, data: bytes) -> str:
    await lake.put(key, data)
    (found,) = [each for each in await lake.listed(key) if each.key == key]
    assert found.bytes == len(data)
    return found.etag


async def test_a_listing_tells_size_version_and_moment(lake: Lake) -> None:
    etag = await stored(lake, "spare/listed/a", b"abc")
    await lake.put("spare/listed/b", b"abc")
    first, second = await lake.listed("spare/listed/")
    assert (first.key, second.key, first.bytes) == ("spare/listed/a", "spare/listed/b", 3)
    assert first.etag == second.etag == etag
    assert first.written_at.tzinfo is not None


async def test_the_version_that_was_listed_is_read_copied_and_deleted(
    lake: Lake, tmp_path: Path
) -> None:
    etag = await stored(lake, "spare/a (1).csv", b"abc")
    assert await lake.download_version("spare/a (1).csv", etag, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"abc"
    assert await lake.copy_version("spare/a (1).csv", etag, "accepted/spare/a (1).csv")
    assert await lake.get("accepted/spare/a (1).csv") == b"abc"
    assert await lake.delete_version("spare/a (1).csv", etag)
    assert not await lake.exists("spare/a (1).csv")


async def test_another_version_is_left_alone(lake: Lake, tmp_path: Path) -> None:
    etag = await stored(lake, "spare/b", b"old")
    await lake.put("spare/b", b"new")
    assert not await lake.download_version("spare/b", etag, tmp_path / "b")
    assert not await lake.copy_version("spare/b", etag, "spare/c")
    assert not await lake.delete_version("spare/b", etag)
    assert await lake.get("spare/b") == b"new"
    assert not await lake.exists("spare/c")


async def test_a_version_that_is_gone_is_no_error(lake: Lake, tmp_path: Path) -> None:
    etag = await stored(lake, "spare/d", b"x")
    assert await lake.delete_version("spare/d", etag)
    assert not await lake.download_version("spare/d", etag, tmp_path / "d")
    assert not await lake.copy_version("spare/d", etag, "spare/e")
    assert not await lake.delete_version("spare/d", etag)

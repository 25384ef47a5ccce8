import asyncio

import pytest

from shared.errors import SchemaMismatch
from shared.together import together


async def test_results_come_in_the_order_of_the_work() -> None:
    async def after(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    assert await together(after(seconds) for seconds in (0.02, 0, 0.01)) == [0.02, 0, 0.01]


async def test_one_failure_ends_the_others_and_is_raised_as_it_is() -> None:
    ended: list[str] = []

    async def fail() -> None:
        await asyncio.sleep(0)
        raise SchemaMismatch("no")

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")

    with pytest.raises(SchemaMismatch, match="no"):
        await together([fail(), wait(), wait()])
    assert ended == ["cancelled", "cancelled"]

import asyncio
from dataclasses import dataclass, field

import pytest

from contracts.column_types import ColumnType
from services.processor.type_registry import agree, learnt_types, pin, registry_key
from shared.errors import SchemaMismatch, TransientError
from tests.fakes import FakeLake

KEY = registry_key("call_reports")


@dataclass
class RacingLake(FakeLake):
    """Someone else writes `meanwhile` between each read and the write that follows it."""

    meanwhile: list[dict[str, ColumnType]] = field(default_factory=list)

    async def put_if(self, key: str, data: bytes, etag: str | None) -> bool:
        if self.meanwhile:
            other = FakeLake(self.objects)
            await agree(other, key, self.meanwhile.pop())
        return await super().put_if(key, data, etag)


async def test_nothing_was_learnt_at_first() -> None:
    assert await learnt_types(FakeLake(), KEY) is None


async def test_what_one_learns_the_next_one_knows() -> None:
    lake = FakeLake()
    await agree(lake, KEY, {"RCON0010": "int"})
    assert await agree(lake, KEY, {"RCON0020": "text"}) == {"RCON0010": "int", "RCON0020": "text"}
    assert await learnt_types(lake, KEY) == {"RCON0010": "int", "RCON0020": "text"}


async def test_types_are_joined_never_replaced() -> None:
    lake = FakeLake()
    await agree(lake, KEY, {"RCON0010": "float"})
    assert await agree(lake, KEY, {"RCON0010": "int"}) == {"RCON0010": "float"}


async def test_nothing_new_writes_nothing() -> None:
    lake = FakeLake()
    await agree(lake, KEY, {"RCON0010": "int"})
    before = dict(lake.objects)
    lake.objects["later"] = b""
    await agree(lake, KEY, {"RCON0010": "bool"})
    assert list(lake.objects) == [*before, "later"]


async def test_two_processors_at_once_agree_on_the_type_that_holds_both() -> None:
    lake = RacingLake(meanwhile=[{"RCON0010": "float", "RCON0030": "bool"}])
    agreed = await agree(lake, KEY, {"RCON0010": "int", "RCON0020": "int"})
    assert agreed == {"RCON0010": "float", "RCON0020": "int", "RCON0030": "bool"}
    assert await learnt_types(lake, KEY) == agreed


async def test_many_processors_at_once_lose_nothing() -> None:
    lake = FakeLake()
    await asyncio.gather(*(agree(lake, KEY, {f"RCON{n:04}": "int"}) for n in range(15)))
    learnt = await learnt_types(lake, KEY)
    assert learnt is not None
    assert len(learnt) == 15


async def test_a_registry_that_never_stands_still_is_tried_again_later() -> None:
    others: list[dict[str, ColumnType]] = [{f"RCON{n:04}": "int"} for n in range(99)]
    with pytest.raises(TransientError, match="changed 20 times"):
        await agree(RacingLake(meanwhile=others), KEY, {"RIAD4107": "int"})


async def test_pinned_types_stand_whatever_is_learnt_later() -> None:
    lake = FakeLake()
    assert await pin(lake, "pinned", {"RCON0010": "int"}) == {"RCON0010": "int"}
    assert await pin(lake, "pinned", {"RCON0010": "float"}) == {"RCON0010": "int"}


async def test_something_else_in_the_registrys_place_is_refused() -> None:
    lake = FakeLake({KEY: b'{"types": {"RCON0010": "integer"}}'})
    with pytest.raises(SchemaMismatch, match="is not a type registry"):
        await learnt_types(lake, KEY)

"""The two functions that keep packet ids, on the emulator's SSM."""

from collections.abc import AsyncIterator
from uuid import uuid4

import aioboto3
import pytest

from services.collector.sources.packet_numbers import PacketNumbers, PacketOutOfOrder, UnknownTable
from shared.errors import TransientError


@pytest.fixture
async def numbers(emulator: str) -> AsyncIterator[PacketNumbers]:
    """Counters of a dataset that no other test uses."""
    assert emulator
    async with aioboto3.Session().client("ssm") as ssm:
        yield PacketNumbers(ssm, "local", f"set-{uuid4().hex}", ("staff", "payment"))


async def test_a_table_without_packets_is_at_zero(numbers: PacketNumbers) -> None:
    assert await numbers.last_packet("staff") == 0


async def test_ids_run_up_by_one_per_table(numbers: PacketNumbers) -> None:
    await numbers.set_last_packet("staff", 1)
    await numbers.set_last_packet("staff", 2)
    await numbers.set_last_packet("payment", 1)
    assert (await numbers.last_packet("staff"), await numbers.last_packet("payment")) == (2, 1)


@pytest.mark.parametrize("packet_id", [0, 1, 3, -1])
async def test_anything_but_the_next_id_is_refused(numbers: PacketNumbers, packet_id: int) -> None:
    await numbers.set_last_packet("staff", 1)
    with pytest.raises(PacketOutOfOrder, match="2 comes next"):
        await numbers.set_last_packet("staff", packet_id)
    assert await numbers.last_packet("staff") == 1


async def test_an_unknown_table_is_a_key_error_with_a_sentence(numbers: PacketNumbers) -> None:
    with pytest.raises(UnknownTable, match="no table 'stuff'; there are: payment, staff") as first:
        await numbers.last_packet("stuff")
    assert isinstance(first.value, KeyError)
    with pytest.raises(UnknownTable):
        await numbers.set_last_packet("stuff", 1)


async def test_trouble_with_the_connection_is_transient(emulator: str) -> None:
    assert emulator
    session = aioboto3.Session().client("ssm", endpoint_url="http://127.0.0.1:1")
    async with session as ssm:
        numbers = PacketNumbers(ssm, "local", "totesys", ("staff",))
        with pytest.raises(TransientError):
            await numbers.last_packet("staff")
        with pytest.raises(TransientError):
            await numbers.set_last_packet("staff", 1)


async def test_the_parameter_is_where_operators_look_for_it(emulator: str) -> None:
    assert emulator
    dataset = f"set-{uuid4().hex}"
    async with aioboto3.Session().client("ssm") as ssm:
        await PacketNumbers(ssm, "local", dataset, ("staff",)).set_last_packet("staff", 1)
        found = await ssm.get_parameter(Name=f"/quarry/local/{dataset}/packet/staff")
    assert found["Parameter"]["Value"] == "1"

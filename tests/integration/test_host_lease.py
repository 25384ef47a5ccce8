import asyncio
from collections.abc import AsyncIterator

import pytest

from infra.names import Names
from services.collector.politeness import DynamoHostLease
from shared.aws import open_clients


@pytest.fixture
async def lease(emulator: str) -> AsyncIterator[DynamoHostLease]:
    """Turns in the runs table, as the deployed collector keeps them."""
    del emulator
    async with open_clients() as clients:
        yield DynamoHostLease(clients.dynamodb, Names("local").runs_table)


@pytest.fixture
def host(request: pytest.FixtureRequest) -> str:
    """A host that only this test visits."""
    return f"{request.node.name}.example"


async def test_only_one_of_two_holders_gets_the_turn(lease: DynamoHostLease, host: str) -> None:
    taken = await asyncio.gather(*(lease.take(host, holder, 60) for holder in ("one", "two")))
    assert sorted(taken) == [False, True]


async def test_a_holder_keeps_its_turn_by_taking_it_again(
    lease: DynamoHostLease, host: str
) -> None:
    assert await lease.take(host, "one", 60)
    assert await lease.take(host, "one", 60)
    assert not await lease.take(host, "two", 60)


async def test_a_turn_that_was_given_back_can_be_taken(lease: DynamoHostLease, host: str) -> None:
    await lease.take(host, "one", 60)
    await lease.give_back(host, "one", 0)
    assert await lease.take(host, "two", 60)


async def test_nobody_gets_a_turn_within_the_pause(lease: DynamoHostLease, host: str) -> None:
    await lease.take(host, "one", 60)
    await lease.give_back(host, "one", 1.5)
    assert not await lease.take(host, "one", 60)
    assert not await lease.take(host, "two", 60)
    await asyncio.sleep(1.6)
    assert await lease.take(host, "two", 60)


async def test_the_turn_of_a_holder_that_died_runs_out(lease: DynamoHostLease, host: str) -> None:
    await lease.take(host, "dead", 0.5)
    await asyncio.sleep(0.6)
    assert await lease.take(host, "two", 60)


async def test_a_holder_that_came_back_too_late_cannot_end_anothers_turn(
    lease: DynamoHostLease, host: str
) -> None:
    await lease.take(host, "late", 0.1)
    await asyncio.sleep(0.2)
    await lease.take(host, "two", 60)
    await lease.give_back(host, "late", 0)
    assert not await lease.take(host, "late", 60)
    assert await lease.take(host, "two", 60)


async def test_hosts_are_apart(lease: DynamoHostLease, host: str) -> None:
    assert await lease.take(host, "one", 60)
    assert await lease.take(f"other.{host}", "two", 60)

"""The generator's real entry under Lambda's own runtime client, with real messages."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from contracts import Envelope, GenerateRequest
from tests.infra.emulator import Emulator
from tests.infra.lambda_poller import NAMES, Message, Poller, polled
from tests.infra.refusing_proxy import RefusingProxy, refusing_proxy

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture(scope="module")
def proxy(emulator_of_local: Emulator) -> Iterator[RefusingProxy]:
    """What stands between the generator and SQS."""
    with refusing_proxy(emulator_of_local.url) as running:
        yield running


@pytest.fixture(scope="module")
def generator(
    proxy: RefusingProxy, emulator_of_local: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Poller]:
    folder = tmp_path_factory.mktemp("generator")
    own = {"AWS_ENDPOINT_URL_SQS": proxy.url}
    with polled("generator", emulator_of_local, folder, own) as poller:
        yield poller


def requests(count: int) -> list[Message]:
    payload = GenerateRequest(
        dataset="call_reports", start_year=2013, start_quarter=1, end_year=2013, end_quarter=1
    )
    return [
        Message(
            Envelope[GenerateRequest]
            .wrap(payload, run_id=f"batch-{number}", trace=None, sent_at=NOW)
            .to_json()
        )
        for number in range(count)
    ]


def test_a_batch_of_ten_that_succeeds_gives_nothing_back(generator: Poller) -> None:
    assert generator.deliver(requests(10)) == []


@pytest.mark.parametrize("failing", range(10))
def test_only_the_message_that_failed_is_given_back(
    failing: int, generator: Poller, proxy: RefusingProxy
) -> None:
    # Its command to the collector is refused.
    proxy.refused = f'\\"batch-{failing}\\"'.encode()
    try:
        assert generator.deliver(requests(10)) == [failing]
    finally:
        proxy.refused = b""


def test_too_near_the_deadline_every_message_is_there_again_at_once(generator: Poller) -> None:
    batch = requests(10)

    assert generator.deliver(batch, seconds_left=4) == list(range(10))
    assert sorted(generator.delivered_again(batch, 10)) == list(range(10))


def test_a_message_nobody_can_read_is_parked_and_not_given_back(generator: Poller) -> None:
    assert generator.deliver([Message("no json"), *requests(1)]) == []
    (parked,) = generator.emulator.receive(NAMES.dead_letter_queue("generator"))
    assert parked["Body"] == "no json"


def test_warm_invocations_leave_nothing_behind(generator: Poller) -> None:
    generator.deliver(requests(10))
    before = generator.process.traces()
    for _ in range(3):
        generator.deliver(requests(10))

    assert not generator.process.traces().has_grown_from(before)

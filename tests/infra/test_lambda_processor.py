"""The processor's real entry under Lambda's own runtime client, with real messages."""

import asyncio
import json
import socket
from collections.abc import Iterator

import pytest

from contracts import Envelope, FolderComplete
from tests import star_packets
from tests.call_report_files import A_BANK, PANEL_NAME, collect, panel, schedule, schedule_name
from tests.fakes import FakeLake
from tests.infra.emulator import Emulator
from tests.infra.lambda_poller import NAMES, Message, Poller, polled


@pytest.fixture(scope="module")
def processor(
    emulator_of_local: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Poller]:
    with polled("processor", emulator_of_local, tmp_path_factory.mktemp("processor")) as poller:
        yield poller


def message(envelope: Envelope[FolderComplete]) -> Message:
    return Message(envelope.to_json())


def nothing_to_do(number: int) -> Message:
    """An event without packets: read, looked up in the state and done in milliseconds."""
    return message(star_packets.event(run_id=f"empty-{number}"))


def folder(emulator: Emulator, run_id: str, *, storage: str = "STANDARD") -> Message:
    """A quarter of one bank; in storage class GLACIER S3 gives no byte until it is restored."""
    lake = FakeLake(bucket=NAMES.bucket)
    files = {
        PANEL_NAME: panel({37: A_BANK}),
        schedule_name("RC"): schedule(["RCON2170", "RCFD2170"], [["37", "1000", ""]]),
    }
    complete = asyncio.run(collect(lake, files, run_id=run_id))
    for key, data in lake.objects.items():
        emulator.client("s3").put_object(
            Bucket=NAMES.bucket, Key=key, Body=data, StorageClass=storage
        )
    return message(complete)


@pytest.mark.parametrize("failing", range(10))
def test_only_the_message_that_failed_is_given_back(failing: int, processor: Poller) -> None:
    batch = [nothing_to_do(number) for number in range(10)]
    batch[failing] = folder(processor.emulator, f"archived-{failing}", storage="GLACIER")

    assert processor.deliver(batch) == [failing]


def test_too_near_the_deadline_every_message_is_there_again_at_once(processor: Poller) -> None:
    batch = [nothing_to_do(number) for number in range(10)]

    assert processor.deliver(batch, seconds_left=4) == list(range(10))
    assert sorted(processor.delivered_again(batch, 10)) == list(range(10))


def test_work_that_outlasts_the_time_left_is_given_back_with_all_after_it(
    emulator_of_local: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        lake = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        directory = tmp_path_factory.mktemp("slow")
        with polled("processor", emulator_of_local, directory, lake) as processor:
            unreadable = Message(json.dumps("no envelope"))
            # Warm: what is measured is no cold start.
            assert processor.deliver([unreadable]) == []
            batch = [unreadable, *(nothing_to_do(number) for number in range(9))]

            assert processor.deliver(batch, seconds_left=7) == list(range(1, 10))
            assert sorted(processor.delivered_again(batch, 9)) == list(range(1, 10))
            assert processor.process.traces().files == []


def test_warm_invocations_leave_nothing_behind(processor: Poller) -> None:
    def invoke(number: int) -> None:
        archived = folder(processor.emulator, f"archived-warm-{number}", storage="GLACIER")
        batch = [folder(processor.emulator, f"warm-{number}"), archived]
        assert processor.deliver(batch) == [1]

    invoke(0)
    before = processor.process.traces()
    for number in range(1, 5):
        invoke(number)

    assert (before.files, before.processes) == ([], [])
    assert not processor.process.traces().has_grown_from(before)

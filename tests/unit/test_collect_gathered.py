"""The collector with a source that gathers its folder itself."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from contracts import CollectedFile, CollectFolder, Envelope, Manifest, Packet
from services.collector.collect import Limits, collect
from services.collector.sources.source import Order
from shared.consumer import Done
from shared.errors import SourceBusy
from tests.fakes import FakeLake, FakeSender

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
MANIFEST_KEY = "raw/totesys/all/run-1/_manifest.json"
FILE = CollectedFile(name="staff_1.jsonl", key="raw/x", bytes=3, sha256="0" * 64)


@dataclass
class FakeGatherer:
    """Has one packet per entry of `fresh`; `taken` packets are another run's."""

    fresh: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    gathered: int = 0

    async def gather(self, order: Order) -> Manifest | None:
        self.gathered += 1
        if not self.fresh:
            return None
        return Manifest(
            dataset=order.dataset.name,
            run_id=order.run_id,
            source_url="postgresql:totesys",
            collected_at=NOW,
            files=tuple(FILE.model_copy(update={"name": name}) for name in self.fresh),
            packets=tuple(Packet(table=name, id=1) for name in self.fresh),
        )

    async def settle(self, manifest: Manifest) -> Manifest:
        files = tuple(file for file in manifest.files if file.name not in self.taken)
        packets = tuple(each for each in manifest.packets if each.table not in self.taken)
        return manifest.model_copy(update={"files": files, "packets": packets})


async def run(lake: FakeLake, send: FakeSender, gatherer: FakeGatherer) -> Done:
    message = Envelope[CollectFolder].wrap(
        CollectFolder(dataset="totesys"), run_id="run-1", trace=None, sent_at=NOW
    )
    return await collect(
        message,
        lake=lake,
        sources={},
        publish=send,
        now=lambda: NOW,
        limits=Limits(),
        gatherers={"database": gatherer},
    )


async def test_packets_are_announced_after_the_manifest() -> None:
    lake, send = FakeLake(), FakeSender()
    done = await run(lake, send, FakeGatherer(["staff", "payment"]))
    (event,) = send.sent
    assert [packet.table for packet in event.payload.packets] == ["staff", "payment"]
    assert (done.outcome, done.counts["files"]) == ("collected", 2)
    assert MANIFEST_KEY in lake.objects


async def test_nothing_new_is_said_and_nothing_announced() -> None:
    lake, send = FakeLake(), FakeSender()
    done = await run(lake, send, FakeGatherer())
    assert (done.outcome, done.expects) == ("nothing_new", ())
    assert (send.sent, lake.objects) == ([], {})


async def test_a_repeated_message_announces_the_same_folder_without_gathering() -> None:
    lake, send, gatherer = FakeLake(), FakeSender(fail_times=1), FakeGatherer(["staff"])
    with pytest.raises(Exception, match="not reachable"):
        await run(lake, send, gatherer)
    gatherer.fresh = ["staff", "payment"]
    done = await run(lake, send, gatherer)
    assert (done.outcome, gatherer.gathered) == ("collected_before", 1)
    assert [packet.table for packet in send.sent[0].payload.packets] == ["staff"]


async def test_what_another_run_took_is_left_out_of_manifest_and_event() -> None:
    lake, send = FakeLake(), FakeSender()
    await run(lake, send, FakeGatherer(["staff", "payment"], taken={"staff"}))
    stored = Manifest.model_validate_json(lake.objects[MANIFEST_KEY])
    assert [packet.table for packet in stored.packets] == ["payment"]
    assert [packet.table for packet in send.sent[0].payload.packets] == ["payment"]


async def test_a_run_that_lost_everything_looks_again() -> None:
    lake, send, gatherer = FakeLake(), FakeSender(), FakeGatherer(["staff"], taken={"staff"})
    with pytest.raises(SourceBusy):
        await run(lake, send, gatherer)
    assert send.sent == []
    gatherer.taken = set()
    assert (await run(lake, send, gatherer)).outcome == "collected"
    assert gatherer.gathered == 2

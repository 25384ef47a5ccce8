"""The inbox: what is taken from it, in which order, and what stays."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts import CollectFolder, Envelope, Manifest
from contracts.datasets import dataset_named
from services.collector.collect import Limits, collect
from services.collector.sources.drop_books import DropBooks
from services.collector.sources.s3_drop import DropGatherer
from services.collector.sources.source import Order
from shared.consumer import Done
from shared.errors import TransientError
from tests.fakes import FakeLake, FakeSender

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
JOBS, OTHER_JOBS = b"1,Baker\n2,\n", b"1,Cook\n"


@dataclass
class Inbox:
    """A lake, a collector and what it announced."""

    lake: FakeLake = field(default_factory=FakeLake)
    sent: FakeSender = field(default_factory=FakeSender)
    runs: int = 0
    most_bytes: int = 1_000_000

    @property
    def gatherer(self) -> DropGatherer:
        return DropGatherer(self.lake, DropBooks(self.lake), lambda: NOW, self.most_bytes)

    async def drop(self, name: str, data: bytes) -> None:
        await self.lake.put(f"inbox/{name}", data)

    async def gather(self, run_id: str) -> Manifest | None:
        order = Order(dataset_named("hires"), run_id, f"raw/hires/all/{run_id}/")
        return await self.gatherer.gather(order)

    async def collect(self, run_id: str | None = None) -> Done:
        self.runs += 1
        message = Envelope[CollectFolder].wrap(
            CollectFolder(dataset="hires"),
            run_id=run_id or f"run-{self.runs}",
            trace=None,
            sent_at=NOW,
        )
        return await collect(
            message,
            lake=self.lake,
            sources={},
            publish=self.sent,
            now=lambda: NOW,
            limits=Limits(),
            gatherers={"s3_drop": self.gatherer},
        )

    @property
    def waiting(self) -> set[str]:
        return {key for key in self.lake.objects if key.startswith("inbox/")}

    @property
    def taken(self) -> list[tuple[str, int | None]]:
        """Name and version of every announced file, in the order of the announcements."""
        manifests = [
            Manifest.model_validate_json(self.lake.objects[event.payload.manifest.key])
            for event in self.sent.sent
        ]
        return [
            (file.name, file.dropped.version)
            for manifest in manifests
            for file in manifest.files
            if file.dropped
        ]


async def test_a_file_is_moved_to_accepted_and_described_in_the_manifest() -> None:
    inbox = Inbox()
    await inbox.drop("jobs.csv", JOBS)
    done = await inbox.collect()
    (event,) = inbox.sent.sent
    manifest = Manifest.model_validate_json(inbox.lake.objects[event.payload.manifest.key])
    (file,) = manifest.files
    assert (file.name, file.rows, file.bytes) == ("jobs.csv", 2, len(JOBS))
    assert file.key.startswith("accepted/jobs/")
    assert inbox.lake.objects[file.key] == JOBS
    assert file.dropped is not None
    assert (file.dropped.table, file.dropped.delimiter, file.dropped.header) == ("jobs", ",", False)
    assert (inbox.waiting, done.outcome, done.counts["files"]) == (set(), "collected", 1)


async def test_whatever_waits_is_taken_in_one_run() -> None:
    inbox = Inbox()
    await inbox.drop("jobs.csv", JOBS)
    await inbox.drop("2021/departments_new.csv", b"id;department\n1;Sales\n")
    await inbox.collect()
    assert inbox.taken == [("2021/departments_new.csv", 1), ("jobs.csv", 1)]


async def test_a_second_event_finds_nothing_and_changes_nothing() -> None:
    inbox = Inbox()
    await inbox.drop("jobs.csv", JOBS)
    await inbox.collect()
    before = dict(inbox.lake.objects)
    done = await inbox.collect()
    assert (done.outcome, done.warnings, len(inbox.sent.sent)) == ("nothing_new", (), 1)
    assert inbox.lake.objects == before


@pytest.mark.parametrize("again", ["jobs.csv", "jobs_copy.csv"])
async def test_content_that_is_loaded_is_not_loaded_again(again: str) -> None:
    inbox = Inbox()
    await inbox.drop("jobs.csv", JOBS)
    await inbox.collect()
    await inbox.drop(again, JOBS)
    done = await inbox.collect()
    assert inbox.taken == [("jobs.csv", 1)]
    assert (done.outcome, inbox.waiting) == ("nothing_taken", set())
    assert done.warnings == (
        f"{again} was not loaded: it has the content of jobs.csv, which is loaded",
    )


async def test_one_content_under_two_names_at_once_is_taken_once() -> None:
    inbox = Inbox()
    await inbox.drop("jobs_a.csv", JOBS)
    await inbox.drop("jobs_b.csv", JOBS)
    done = await inbox.collect()
    assert inbox.taken == [("jobs_a.csv", 1)]
    assert inbox.waiting == set()
    assert "jobs_b.csv was not loaded: it has the content of jobs_a.csv" in done.warnings[0]


async def test_a_name_with_new_content_is_a_new_version_and_the_old_one_may_come_back() -> None:
    inbox = Inbox()
    for data in (JOBS, OTHER_JOBS, JOBS):
        await inbox.drop("jobs.csv", data)
        await inbox.collect()
    assert inbox.taken == [("jobs.csv", 1), ("jobs.csv", 2), ("jobs.csv", 3)]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("weather.csv", b"1,2\n", "its name fits no pattern of any dataset"),
        ("jobs.csv", b"1,2,3\n", "record 1 has 3 by ','"),
        ("jobs.csv", b"1,\xff\n", "it is not UTF-8"),
        ("departments.csv", b"", "it has no records"),
        ("jobs_large.csv", b"1,x\n" * 300_000, "1,000,000 are allowed"),
    ],
)
async def test_an_unfit_file_is_moved_to_rejected_with_its_reason_beside_it(
    name: str, data: bytes, reason: str
) -> None:
    inbox = Inbox()
    await inbox.drop(name, data)
    done = await inbox.collect()
    (moved,) = [
        key for key in inbox.lake.objects if key.startswith("rejected/") and key.endswith(name)
    ]
    assert inbox.lake.objects[moved] == data
    document = json.loads(inbox.lake.objects[f"{moved}.reason.json"])
    assert (document["file"], document["run_id"]) == (name, "run-1")
    assert reason in document["reason"]
    assert (inbox.waiting, inbox.sent.sent, done.outcome) == (set(), [], "nothing_taken")
    assert done.warnings == (f"{name} was rejected: {document['reason']}",)


async def test_a_bad_file_does_not_keep_good_ones_waiting() -> None:
    inbox = Inbox()
    await inbox.drop("departments.csv", b"\0")
    await inbox.drop("jobs.csv", JOBS)
    done = await inbox.collect()
    assert (inbox.taken, len(done.warnings)) == ([("jobs.csv", 1)], 1)


async def test_a_run_takes_so_much_and_leaves_the_rest_to_the_next() -> None:
    inbox = Inbox(most_bytes=80)
    for name in ("jobs_a.csv", "jobs_b.csv", "jobs_c.csv"):
        await inbox.drop(name, b"1," + name.encode() * 4 + b"\n")
    first, second, third, fourth = [await inbox.collect() for _ in range(4)]
    assert inbox.taken == [("jobs_a.csv", 1), ("jobs_b.csv", 1), ("jobs_c.csv", 1)]
    assert first.warnings == ("files left for the next run: 2",)
    assert second.warnings == ("files left for the next run: 1",)
    assert (third.warnings, fourth.outcome) == ((), "nothing_new")


async def test_a_run_says_no_more_than_its_status_can_hold() -> None:
    inbox = Inbox()
    for number in range(201):
        await inbox.drop(f"weather_{number:03}.csv", b"1\n")
    first, second = [await inbox.collect() for _ in range(2)]
    assert len(first.warnings) == 201
    assert first.warnings[-1] == "files left for the next run: 1"
    assert second.warnings[0].startswith("weather_200.csv was rejected")


async def test_a_run_that_died_before_its_manifest_takes_the_file_again() -> None:
    inbox = Inbox()
    await inbox.drop("jobs.csv", JOBS)
    await inbox.gather("run-1")
    assert inbox.waiting == {"inbox/jobs.csv"}
    await inbox.collect("run-1")
    assert inbox.taken == [("jobs.csv", 1)]


async def test_a_run_that_died_before_its_event_announces_the_same_version() -> None:
    inbox = Inbox(sent=FakeSender(fail_times=1))
    await inbox.drop("jobs.csv", JOBS)
    with pytest.raises(TransientError):
        await inbox.collect("run-1")
    await inbox.drop("jobs.csv", OTHER_JOBS)
    await inbox.collect("run-2")
    await inbox.collect("run-1")
    assert inbox.taken == [("jobs.csv", 2), ("jobs.csv", 1)]


async def test_settling_twice_gives_the_same_versions() -> None:
    inbox = Inbox()
    await inbox.drop("jobs.csv", JOBS)
    manifest = await inbox.gather("run-1")
    assert manifest is not None
    first = await inbox.gatherer.settle(manifest)
    assert await inbox.gatherer.settle(manifest) == first
    assert await inbox.gatherer.settle(first) == first


async def test_of_two_runs_at_once_one_takes_the_file() -> None:
    inbox = Inbox()
    await inbox.drop("jobs.csv", JOBS)
    manifests = [await inbox.gather(run_id) for run_id in ("run-1", "run-2")]
    settled = [await inbox.gatherer.settle(each) for each in manifests if each]
    assert [len(each.files) for each in settled] == [1, 0]
    assert settled[1].warnings == (
        "jobs.csv was not loaded: it has the content of jobs.csv, which is loaded",
    )


async def test_a_file_that_was_replaced_meanwhile_stays_for_the_next_run() -> None:
    inbox = Inbox()
    await inbox.drop("jobs.csv", JOBS)
    manifest = await inbox.gather("run-1")
    assert manifest is not None
    await inbox.drop("jobs.csv", OTHER_JOBS)
    await inbox.gatherer.settle(manifest)
    assert inbox.lake.objects["inbox/jobs.csv"] == OTHER_JOBS


@dataclass
class ChangingLake(FakeLake):
    """Someone drops the file anew while it is being looked at."""

    async def download_version(self, key: str, etag: str, path: Path) -> bool:
        found = await super().download_version(key, etag, path)
        await self.put(key, OTHER_JOBS)
        return found


async def test_what_was_checked_is_what_is_accepted() -> None:
    inbox = Inbox(lake=ChangingLake())
    await inbox.drop("jobs.csv", JOBS)
    assert (await inbox.collect()).outcome == "nothing_new"
    assert (await inbox.collect()).outcome == "collected"
    accepted = [data for key, data in inbox.lake.objects.items() if key.startswith("accepted/")]
    assert accepted == [OTHER_JOBS]

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from contracts import (
    MANIFEST_NAME,
    CollectFolder,
    Envelope,
    FolderComplete,
    Manifest,
    Period,
    PortalSource,
)
from services.collector.archive import Caps
from services.collector.collect import Limits, collect
from services.collector.sources.source import Download, Source
from shared.consumer import Done
from shared.errors import (
    DownloadCutShort,
    InvalidRequest,
    TransientError,
    UnexpectedDownload,
    UnsafeArchive,
)
from tests.crafted_zips import quarter_files, zip_of
from tests.fakes import FakeLake, FakeSender

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
QUARTER = Period(2013, 1)
PREFIX = "raw/call_reports/2013Q1/run-1/"
FILES = quarter_files(QUARTER, "RC", "RCB(1 of 2)", "RCB(2 of 2)")
INCOMPLETE = quarter_files(QUARTER, "RC", "RCO(2 of 2)")
WARNING = "call_reports 2013Q1: RCO: part 1 of 2 is missing from the source"
NAME = "FFIEC CDR Call Bulk All Schedules 03312013.zip"


@dataclass
class FakeSource:
    """Gives out a crafted zip; `fail_times` first visits break off."""

    archive: bytes
    fail_times: int = 0
    asked: list[Period] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)

    async def fetch(self, source: PortalSource, period: Period, into: Path) -> Download:
        del source
        self.asked.append(period)
        self.folders.append(into)
        if self.fail_times:
            self.fail_times -= 1
            raise DownloadCutShort("the connection broke")
        path = into / "download"
        path.write_bytes(self.archive)
        return Download(path, NAME, "https://source.example/page")


@dataclass
class UnsteadyLake(FakeLake):
    """Loses the connection once, at the key that ends so."""

    fails_at: str = ""

    async def put(self, key: str, data: bytes) -> None:
        if self.fails_at and key.endswith(self.fails_at):
            self.fails_at = ""
            raise TransientError("the lake is not reachable")
        await super().put(key, data)


@dataclass
class Witness(FakeSender):
    """Notes what the lake held at the moment of each event."""

    lake: FakeLake = field(default_factory=FakeLake)
    seen: list[set[str]] = field(default_factory=list)

    async def __call__(self, envelopes: Any) -> None:
        self.seen.append(set(self.lake.objects))
        await super().__call__(envelopes)


def command(**fields: Any) -> Envelope[CollectFolder]:
    given: dict[str, Any] = {"dataset": "call_reports", "period": QUARTER, **fields}
    return Envelope[CollectFolder].wrap(
        CollectFolder(**given), run_id="run-1", trace=None, sent_at=NOW
    )


async def run(
    source: Source,
    lake: FakeLake,
    publish: FakeSender,
    *,
    envelope: Envelope[CollectFolder] | None = None,
    limits: Limits | None = None,
) -> Done:
    return await collect(
        envelope or command(),
        lake=lake,
        sources={"portal": source},
        publish=publish,
        now=lambda: NOW,
        limits=limits or Limits(),
    )


def manifest_in(lake: FakeLake) -> Manifest:
    return Manifest.model_validate_json(lake.objects[PREFIX + MANIFEST_NAME])


async def test_every_member_is_stored_under_dataset_period_and_run() -> None:
    lake = FakeLake()
    await run(FakeSource(zip_of(FILES)), lake, FakeSender())
    del lake.objects[PREFIX + MANIFEST_NAME]
    assert lake.objects == {PREFIX + name: data for name, data in FILES.items()}


@pytest.mark.parametrize("side_by_side", [1, 8])
async def test_the_manifest_is_written_after_every_file(side_by_side: int) -> None:
    lake = FakeLake()
    limits = Limits(side_by_side=side_by_side)
    await run(FakeSource(zip_of(FILES)), lake, FakeSender(), limits=limits)
    assert list(lake.objects)[-1] == PREFIX + MANIFEST_NAME
    assert len(lake.objects) == len(FILES) + 1


async def test_the_event_comes_after_the_manifest() -> None:
    lake = FakeLake()
    publish = Witness(lake=lake)
    await run(FakeSource(zip_of(FILES)), lake, publish)
    assert publish.seen == [{PREFIX + name for name in (*FILES, MANIFEST_NAME)}]


async def test_the_manifest_has_size_and_digest_of_every_file_and_of_the_archive() -> None:
    lake, archive = FakeLake(), zip_of(FILES)
    await run(FakeSource(archive), lake, FakeSender())
    manifest = manifest_in(lake)
    assert {(file.name, file.key, file.bytes, file.sha256) for file in manifest.files} == {
        (name, PREFIX + name, len(data), hashlib.sha256(data).hexdigest())
        for name, data in FILES.items()
    }
    assert manifest.archive_sha256 == hashlib.sha256(archive).hexdigest()
    assert (manifest.archive_name, manifest.archive_bytes) == (NAME, len(archive))
    assert (manifest.source_url, manifest.collected_at) == ("https://source.example/page", NOW)


async def test_the_event_says_where_the_manifest_lies_and_how_to_check_it() -> None:
    lake, publish = FakeLake(), FakeSender()
    await run(FakeSource(zip_of(FILES)), lake, publish)
    (event,) = publish.sent
    assert isinstance(event.payload, FolderComplete)
    stored = lake.objects[PREFIX + MANIFEST_NAME]
    assert event.run_id == "run-1"
    assert event.payload.manifest.key == PREFIX + MANIFEST_NAME
    assert event.payload.manifest.sha256 == hashlib.sha256(stored).hexdigest()
    assert event.payload.manifest.bytes == len(stored)
    assert event.payload.files == len(FILES)
    assert event.payload.bytes == sum(map(len, FILES.values()))


async def test_the_step_counts_files_and_bytes_and_expects_the_quarter() -> None:
    done = await run(FakeSource(zip_of(FILES)), FakeLake(), FakeSender())
    assert done.counts == {"files": len(FILES), "bytes": sum(map(len, FILES.values()))}
    assert (done.expects, done.outcome) == (("2013Q1",), "collected")


async def test_a_folder_that_has_its_manifest_is_announced_again_and_not_asked_for() -> None:
    lake, source, publish = FakeLake(), FakeSource(zip_of(FILES)), FakeSender()
    first = await run(source, lake, publish)
    before = dict(lake.objects)
    again = await run(source, lake, publish)
    assert source.asked == [QUARTER]
    assert lake.objects == before
    assert publish.sent[0].payload == publish.sent[1].payload
    assert publish.sent[0].message_id == publish.sent[1].message_id
    assert again.outcome == "collected_before"
    assert (again.counts, again.expects) == (first.counts, first.expects)


async def test_after_a_failed_visit_nothing_is_there_and_the_next_one_completes() -> None:
    lake, source, publish = FakeLake(), FakeSource(zip_of(FILES), fail_times=1), FakeSender()
    with pytest.raises(DownloadCutShort):
        await run(source, lake, publish)
    assert (lake.objects, publish.sent) == ({}, [])
    await run(source, lake, publish)
    assert set(lake.objects) == {PREFIX + name for name in (*FILES, MANIFEST_NAME)}


@pytest.mark.parametrize("lost", ["RC 03312013.txt", MANIFEST_NAME])
async def test_a_failed_upload_leaves_no_manifest_and_a_repeat_uses_the_same_keys(
    lost: str,
) -> None:
    lake, source, publish = UnsteadyLake(fails_at=lost), FakeSource(zip_of(FILES)), FakeSender()
    with pytest.raises(TransientError):
        await run(source, lake, publish)
    assert PREFIX + MANIFEST_NAME not in lake.objects
    assert publish.sent == []
    await run(source, lake, publish)
    assert set(lake.objects) == {PREFIX + name for name in (*FILES, MANIFEST_NAME)}
    assert len(publish.sent) == 1


async def test_a_failed_event_is_sent_by_the_repeat_without_a_second_visit() -> None:
    lake, source, publish = FakeLake(), FakeSource(zip_of(FILES)), FakeSender(fail_times=1)
    with pytest.raises(TransientError):
        await run(source, lake, publish)
    written = lake.objects[PREFIX + MANIFEST_NAME]
    done = await run(source, lake, publish)
    assert source.asked == [QUARTER]
    assert lake.objects[PREFIX + MANIFEST_NAME] == written
    assert (len(publish.sent), done.outcome) == (1, "collected_before")


async def test_a_missing_part_is_a_warning_in_manifest_event_and_step() -> None:
    lake, publish = FakeLake(), FakeSender()
    done = await run(FakeSource(zip_of(INCOMPLETE)), lake, publish)
    assert manifest_in(lake).warnings == (WARNING,)
    assert publish.sent[0].payload.warnings == (WARNING,)
    assert done.warnings == (WARNING,)


async def test_a_missing_part_is_still_told_when_the_folder_is_announced_again() -> None:
    lake, publish = FakeLake(), FakeSender()
    await run(FakeSource(zip_of(INCOMPLETE)), lake, publish)
    done = await run(FakeSource(b""), lake, publish)
    assert done.warnings == publish.sent[1].payload.warnings == (WARNING,)


async def test_another_quarters_members_are_refused_before_anything_is_stored() -> None:
    lake = FakeLake()
    with pytest.raises(UnexpectedDownload, match="is not of 2013Q1"):
        await run(FakeSource(zip_of(quarter_files(Period(2012, 4), "RC"))), lake, FakeSender())
    assert lake.objects == {}


async def test_an_unsafe_archive_is_refused_before_anything_is_stored() -> None:
    lake = FakeLake()
    with pytest.raises(UnsafeArchive, match=r"\.\./evil"):
        await run(FakeSource(zip_of({**FILES, "../evil": b"1"})), lake, FakeSender())
    assert lake.objects == {}


async def test_the_limits_of_the_settings_are_kept() -> None:
    limits = Limits(Caps(members=2))
    with pytest.raises(UnsafeArchive, match="2 are allowed"):
        await run(FakeSource(zip_of(FILES)), FakeLake(), FakeSender(), limits=limits)


async def test_nothing_stays_on_disk() -> None:
    source = FakeSource(zip_of(FILES), fail_times=1)
    with pytest.raises(DownloadCutShort):
        await run(source, FakeLake(), FakeSender())
    await run(source, FakeLake(), FakeSender())
    assert [folder.exists() for folder in source.folders] == [False, False]


async def test_an_unknown_dataset_is_an_invalid_request() -> None:
    with pytest.raises(InvalidRequest, match="call_reports"):
        await run(FakeSource(b""), FakeLake(), FakeSender(), envelope=command(dataset="weather"))


async def test_a_quarterly_dataset_without_a_quarter_is_an_invalid_request() -> None:
    source = FakeSource(b"")
    with pytest.raises(InvalidRequest, match="names no period"):
        await run(source, FakeLake(), FakeSender(), envelope=command(period=None))
    assert source.asked == []

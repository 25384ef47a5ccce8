"""A run that dies at any of its steps loses no dropped file and takes none twice."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts import CollectFolder, Envelope, Manifest
from services.collector.collect import Limits, collect
from services.collector.sources.drop_books import DropBooks
from services.collector.sources.s3_drop import DropGatherer
from shared.errors import TransientError
from shared.lake import StoredObject
from tests.fakes import FakeLake, FakeSender

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
FILES = {
    "jobs.csv": b"1,Baker\n",
    "jobs_twin.csv": b"1,Baker\n",
    "departments.csv": b"1;Sales\n",
    "weather.csv": b"1\n",
}
STEPS = 80


@dataclass
class MortalLake(FakeLake):
    """The process dies at its `left`th use of the lake: before it, or just after it was done."""

    left: int = STEPS
    after: bool = False
    used: list[str] = field(default_factory=list)

    def _before(self, step: str) -> None:
        self.used.append(step)
        if self.left == 0 and not self.after:
            self._die()

    def _after(self) -> None:
        if self.left == 0 and self.after:
            self._die()
        self.left -= 1

    def _die(self) -> None:
        self.left = -1
        raise TransientError("the process is gone")

    async def put(self, key: str, data: bytes) -> None:
        self._before(f"put {key}")
        await super().put(key, data)
        self._after()

    async def listed(self, prefix: str) -> list[StoredObject]:
        self._before("list")
        found = await super().listed(prefix)
        self._after()
        return found

    async def download_version(self, key: str, etag: str, path: Path) -> bool:
        self._before(f"download {key}")
        found = await super().download_version(key, etag, path)
        self._after()
        return found

    async def delete_version(self, key: str, etag: str) -> bool:
        self._before(f"delete {key}")
        found = await super().delete_version(key, etag)
        self._after()
        return found


async def one_run(lake: FakeLake, sent: FakeSender, run_id: str) -> None:
    message = Envelope[CollectFolder].wrap(
        CollectFolder(dataset="hires"), run_id=run_id, trace=None, sent_at=NOW
    )
    await collect(
        message,
        lake=lake,
        sources={},
        publish=sent,
        now=lambda: NOW,
        limits=Limits(),
        gatherers={"s3_drop": DropGatherer(lake, DropBooks(lake), lambda: NOW)},
    )


def announced(lake: FakeLake, sent: FakeSender) -> list[tuple[str, int | None, str]]:
    """Name, version and run of every file that was announced, each event once."""
    keys = dict.fromkeys(event.payload.manifest.key for event in sent.sent)
    manifests = [Manifest.model_validate_json(lake.objects[key]) for key in keys]
    return sorted(
        (file.name, file.dropped.version, manifest.run_id)
        for manifest in manifests
        for file in manifest.files
        if file.dropped
    )


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("another_first", [False, True], ids=["alone", "overtaken"])
async def test_wherever_a_run_dies_each_content_is_announced_once(
    *, after: bool, another_first: bool
) -> None:
    deaths = 0
    for place in range(STEPS):
        lake = MortalLake({f"inbox/{name}": data for name, data in FILES.items()})
        lake.left, lake.after = place, after
        sent = FakeSender()
        try:
            await one_run(lake, sent, "run-1")
        except TransientError:
            deaths += 1
        # The message comes again; another event's run may have been quicker.
        for run_id in ("run-2", "run-1") if another_first else ("run-1", "run-2"):
            try:
                await one_run(lake, sent, run_id)
            except TransientError:
                await one_run(lake, sent, run_id)
        died = f"died at {lake.used[min(place, len(lake.used) - 1)]}"
        assert [each[:2] for each in announced(lake, sent)] == [
            ("departments.csv", 1),
            ("jobs.csv", 1),
        ], died
        assert [key for key in lake.objects if key.startswith("inbox/")] == [], died
        rejected = {key.rpartition("/")[2] for key in lake.objects if key.startswith("rejected/")}
        assert rejected == {"weather.csv", "weather.csv.reason.json"}, died
    assert deaths > len(FILES)

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from contracts import Period, PortalSource
from contracts.datasets.call_reports import SOURCE
from services.collector.politeness import PoliteSource, host_of
from services.collector.sources.source import Download
from shared.errors import DownloadCutShort, SourceBusy, TransientError

QUARTER = Period(2013, 1)


@dataclass
class FakeLease:
    """A turn per host in memory; remembers who took it and when each turn ended."""

    turns: dict[str, tuple[str, float]] = field(default_factory=dict)
    takes: list[str] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    unreachable: bool = False

    async def take(self, host: str, holder: str, seconds: float) -> bool:
        if self.unreachable:
            raise TransientError("the table is not reachable")
        owner, until = self.turns.get(host, ("", 0.0))
        if owner != holder and time.monotonic() < until:
            return False
        self.turns[host] = holder, time.monotonic() + seconds
        self.takes.append(holder)
        return True

    async def give_back(self, host: str, holder: str, pause_seconds: float) -> None:
        if self.unreachable:
            raise TransientError("the table is not reachable")
        if self.turns[host][0] == holder:
            self.turns[host] = "nobody", time.monotonic() + pause_seconds
        self.ended.append(time.monotonic())


@dataclass
class FakeSite:
    """Counts its visitors; a visit takes `seconds`, or fails."""

    seconds: float = 0.0
    error: Exception | None = None
    here: int = 0
    most: int = 0
    visits: list[float] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def fetch(self, source: PortalSource, period: Period, into: Path) -> Download:
        del source, period
        self.visits.append(time.monotonic())
        self.arrived.set()
        self.here += 1
        self.most = max(self.most, self.here)
        await asyncio.sleep(self.seconds)
        self.here -= 1
        if self.error is not None:
            raise self.error
        return Download(into / "download", "quarter.zip", "https://site.example")


def visitor(
    site: FakeSite,
    lease: FakeLease,
    *,
    host: str = "site.example",
    pause: float = 0.0,
    patience: float = 5.0,
    lease_seconds: float = 60.0,
) -> PoliteSource:
    return PoliteSource(site, lease, host, pause, patience, lease_seconds)


async def visit(source: PoliteSource) -> Download:
    return await source.fetch(SOURCE, QUARTER, Path())


async def test_visitors_take_turns() -> None:
    site, lease = FakeSite(seconds=0.05), FakeLease()
    await asyncio.gather(*(visit(visitor(site, lease)) for _ in range(3)))
    assert (len(site.visits), site.most) == (3, 1)


async def test_different_hosts_are_visited_at_the_same_time() -> None:
    site, lease = FakeSite(seconds=0.2), FakeLease()
    await asyncio.gather(*(visit(visitor(site, lease, host=host)) for host in ("a", "b")))
    assert site.most == 2


async def test_the_pause_between_visits_is_kept() -> None:
    site, lease = FakeSite(), FakeLease()
    for _ in range(2):
        await visit(visitor(site, lease, pause=0.3))
    assert site.visits[1] - site.visits[0] >= 0.3


async def test_patience_ends_with_source_busy() -> None:
    site, lease = FakeSite(), FakeLease()
    await lease.take("site.example", "somebody", 60)
    with pytest.raises(SourceBusy, match=r"another collector is visiting site\.example"):
        await visit(visitor(site, lease, patience=0))
    assert site.visits == []


async def test_a_turn_ends_when_the_visit_fails() -> None:
    site, lease = FakeSite(error=DownloadCutShort("broke off")), FakeLease()
    with pytest.raises(DownloadCutShort):
        await visit(visitor(site, lease))
    assert lease.turns["site.example"][0] == "nobody"


async def test_a_turn_ends_when_the_visit_is_cancelled() -> None:
    site, lease = FakeSite(seconds=60), FakeLease()
    going = asyncio.create_task(visit(visitor(site, lease)))
    await site.arrived.wait()
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    assert lease.turns["site.example"][0] == "nobody"


async def test_a_turn_is_kept_alive_for_as_long_as_the_download_takes() -> None:
    site, lease = FakeSite(seconds=0.9), FakeLease()
    going = asyncio.create_task(visit(visitor(site, lease, lease_seconds=0.3)))
    await asyncio.sleep(0.6)
    assert not await lease.take("site.example", "somebody", 60)
    await going
    assert len(set(lease.takes)) == 1
    assert len(lease.takes) >= 4


async def test_nothing_takes_the_turn_again_after_its_end() -> None:
    site, lease = FakeSite(seconds=0.1), FakeLease()
    await visit(visitor(site, lease, lease_seconds=0.03))
    taken = len(lease.takes)
    await asyncio.sleep(0.1)
    assert len(lease.takes) == taken


async def test_a_download_survives_that_its_turn_cannot_be_extended_or_given_back() -> None:
    site, lease = FakeSite(seconds=0.1), FakeLease()
    going = asyncio.create_task(visit(visitor(site, lease, lease_seconds=0.05)))
    await site.arrived.wait()
    lease.unreachable = True
    assert (await going).name == "quarter.zip"


async def test_a_visit_does_not_begin_when_the_turns_cannot_be_asked() -> None:
    site = FakeSite()
    with pytest.raises(TransientError):
        await visit(visitor(site, FakeLease(unreachable=True)))
    assert site.visits == []


def test_a_host_is_name_and_port() -> None:
    assert host_of("https://cdr.ffiec.gov/public/pws/x.aspx?a=1") == "cdr.ffiec.gov"
    assert host_of("http://127.0.0.1:8080/x") == "127.0.0.1:8080"

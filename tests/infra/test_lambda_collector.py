"""The collector's real entry under Lambda's own runtime client, with real messages and Chromium."""

import hashlib
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import pytest

from contracts import (
    MANIFEST_NAME,
    CollectedFile,
    CollectFolder,
    Envelope,
    Manifest,
    Period,
    raw_prefix,
)
from ops.portal.catalogue import Catalogue
from ops.portal.serve import Portal, running_portal
from tests.contracts.running_services import write_small_quarter
from tests.infra.emulator import Emulator
from tests.infra.lambda_poller import NAMES, Message, Poller, polled

NOW = datetime(2026, 11, 21, tzinfo=UTC)
QUARTERS = [Period(year, 1) for year in range(2010, 2020)]
# Nothing listens there: whatever has to be fetched fails for the moment.
_NO_PORTAL = {"QUARRY_PORTAL_URL": "http://127.0.0.1:9/", "QUARRY_FETCHER": "http"}
_AT_ONCE = {"QUARRY_MIN_DELAY_SECONDS": "0"}


@pytest.fixture(scope="module")
def collector(
    emulator_of_local: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Poller]:
    """A collector whose site is away."""
    folder = tmp_path_factory.mktemp("collector")
    with polled("collector", emulator_of_local, folder, _NO_PORTAL | _AT_ONCE) as poller:
        yield poller


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    folder = tmp_path_factory.mktemp("quarter")
    write_small_quarter(folder)
    with running_portal(Catalogue(folder)) as site:
        yield site


@pytest.fixture(scope="module")
def browsing_collector(portal: Portal, emulator_of_local: Emulator) -> Iterator[Poller]:
    """A collector with the real browser."""
    own = {"QUARRY_PORTAL_URL": portal.url, "QUARRY_FETCHER": "browser"} | _AT_ONCE
    # Not in pytest's folder: Chromium's sockets lie below, and allow no long path.
    with tempfile.TemporaryDirectory(prefix="quarry-") as made:
        folder = Path(made) / "tmp"
        folder.mkdir()
        with polled("collector", emulator_of_local, folder, own) as poller:
            yield poller


def commands(run_id: str, periods: list[Period]) -> list[Message]:
    return [
        Message(
            Envelope[CollectFolder]
            .wrap(
                CollectFolder(dataset="call_reports", period=period),
                run_id=run_id,
                trace=None,
                sent_at=NOW,
            )
            .to_json()
        )
        for period in periods
    ]


def already_collected(emulator: Emulator, run_id: str, *, but: int) -> None:
    """Leave a manifest for every quarter of the run except the one at position `but`."""
    digest = hashlib.sha256(b"").hexdigest()
    for period in QUARTERS[:but] + QUARTERS[but + 1 :]:
        prefix = raw_prefix("call_reports", str(period), run_id)
        # A manifest without files would count as one that was made void.
        file = CollectedFile(name="rc.txt", key=f"{prefix}rc.txt", bytes=0, sha256=digest)
        manifest = Manifest(
            dataset="call_reports",
            period=period,
            run_id=run_id,
            source_url="https://source.example",
            collected_at=NOW,
            files=(file,),
        )
        emulator.client("s3").put_object(
            Bucket=NAMES.bucket,
            Key=prefix + MANIFEST_NAME,
            Body=manifest.model_dump_json().encode(),
        )


@pytest.mark.parametrize("failing", range(10))
def test_only_the_message_that_failed_is_given_back(failing: int, collector: Poller) -> None:
    run_id = f"index-{failing}"
    already_collected(collector.emulator, run_id, but=failing)

    assert collector.deliver(commands(run_id, QUARTERS)) == [failing]


def test_warm_invocations_that_fail_leave_nothing_behind(collector: Poller) -> None:
    def invoke(number: int) -> None:
        already_collected(collector.emulator, f"warm-{number}", but=0)
        assert collector.deliver(commands(f"warm-{number}", QUARTERS)) == [0]

    invoke(0)
    before = collector.process.traces()
    for number in range(1, 4):
        invoke(number)

    assert before.processes == []
    assert not collector.process.traces().has_grown_from(before)


def test_warm_invocations_leave_no_browser_file_or_connection_behind(
    browsing_collector: Poller,
) -> None:
    def invoke(number: int) -> None:
        assert browsing_collector.deliver(commands(f"browser-{number}", [Period(2013, 1)])) == []

    invoke(0)
    before = browsing_collector.process.traces()
    invoke(1)
    invoke(2)

    assert (before.files, before.processes) == ([], [])
    # The thread that listens to a browser notices a little later that it is gone.
    deadline = monotonic() + 30
    while browsing_collector.process.traces().has_grown_from(before):
        assert monotonic() < deadline, browsing_collector.process.traces()


def test_a_visit_that_outlasts_the_time_left_ends_its_browser_and_gives_the_rest_back(
    browsing_collector: Poller, portal: Portal
) -> None:
    batch = [Message("no json"), *commands("late", QUARTERS[:3])]
    portal.fault("hanging", detail="60")

    failed = browsing_collector.deliver(batch, seconds_left=10)
    portal.heal()

    assert failed == [1, 2, 3]
    after = browsing_collector.process.traces()
    assert (after.files, after.processes) == ([], [])
    assert sorted(browsing_collector.delivered_again(batch, 3)) == [1, 2, 3]

"""The collector as Fargate runs it: a long-running worker that can write to /tmp alone."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from contracts import MANIFEST_NAME, CollectFolder, Envelope, Manifest, Period, raw_prefix
from infra.settings import settings_for
from infra.variables import service_variables
from ops.portal.catalogue import Catalogue
from ops.portal.serve import Portal, running_portal
from ops.stack.home import ROOT
from tests.contracts.running_services import write_small_quarter
from tests.infra.emulator import Emulator
from tests.infra.lambda_poller import NAMES

CONFINED = (sys.executable, "-m", "tests.infra.read_only_root")
PERIOD = Period(2013, 1)
_WAIT_SECONDS = 120


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Portal]:
    write_small_quarter(tmp_path)
    with running_portal(Catalogue(tmp_path)) as site:
        yield site


@pytest.fixture
def writable() -> Iterator[Path]:
    """What /tmp is in the container. Chromium's sockets lie below, and allow no long path."""
    with tempfile.TemporaryDirectory(prefix="quarry-") as made:
        yield Path(made)


def test_a_confined_program_writes_in_its_folder_and_nowhere_else(
    writable: Path, tmp_path: Path
) -> None:
    script = f"touch {writable}/here; touch {tmp_path}/there; rm {tmp_path}/old; mkdir /made"
    old = tmp_path / "old"
    old.touch()
    subprocess.run([*CONFINED, writable, "sh", "-c", script], cwd=ROOT, check=False)  # noqa: S603  # our own words
    assert [path.name for path in writable.iterdir()] == ["here"]
    assert [*tmp_path.iterdir()] == [old]
    assert not Path("/made").exists()


def test_the_collector_browses_and_stores_a_folder_with_a_read_only_root(
    emulator_of_local: Emulator, portal: Portal, writable: Path, tmp_path: Path
) -> None:
    variables = {
        **service_variables("collector", NAMES, settings_for("local")),
        **emulator_of_local.variables,
        "QUARRY_PORTAL_URL": portal.url,
        "QUARRY_FETCHER": "browser",
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        # As the image and its mount have them.
        "HOME": str(writable),
        "TMPDIR": str(writable),
    }
    command = Envelope[CollectFolder].wrap(
        CollectFolder(dataset="call_reports", period=PERIOD),
        run_id="read-only",
        trace=None,
        sent_at=datetime.now(UTC),
    )
    queue = emulator_of_local.queue_url(NAMES.queue("collector"))
    emulator_of_local.client("sqs").send_message(QueueUrl=queue, MessageBody=command.to_json())
    log = tmp_path / "collector.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(  # noqa: S603  # our own words
            [*CONFINED, writable, sys.executable, "-m", "services.collector.main"],
            cwd=ROOT,
            env=variables,
            stdout=output,
            stderr=output,
        )
    try:
        manifest = wait_for_manifest(emulator_of_local, worker, log)
    finally:
        worker.terminate()
        worker.wait(timeout=_WAIT_SECONDS)
    assert manifest.files
    assert '"through":"browser"' in log.read_text().replace(" ", "")
    assert [*writable.iterdir()] == []


def wait_for_manifest(emulator: Emulator, worker: subprocess.Popen[bytes], log: Path) -> Manifest:
    s3 = emulator.client("s3")
    key = raw_prefix("call_reports", str(PERIOD), "read-only") + MANIFEST_NAME
    deadline = time.monotonic() + _WAIT_SECONDS
    while not s3.list_objects_v2(Bucket=NAMES.bucket, Prefix=key)["KeyCount"]:
        assert worker.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    return Manifest.model_validate_json(s3.get_object(Bucket=NAMES.bucket, Key=key)["Body"].read())

"""A service ships what its Dockerfile says, works with nothing else, and changes alone."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts import FolderComplete, LoadTable, Manifest, Period, open_envelope
from infra.names import SERVICES, Service
from infra.shipped import DEPLOY_ORDER, content_hash, services_touched, shipped_files
from ops.portal.catalogue import Catalogue
from ops.portal.serve import running_portal
from ops.stack.services import service_programs
from tests.call_report_files import A_BANK, PANEL_NAME, panel, schedule, schedule_name
from tests.contracts.running_services import NAMES, RunningServices, write_small_quarter
from tests.loads import bank_rows, write

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "contracts" / "examples"
GOLDEN: dict[Service, str] = {
    "generator": "GenerateRequest.v1.bare-range.json",
    "collector": "CollectFolder.v1.quarter.json",
    "processor": "FolderComplete.v1.quarter.json",
    "loader": "LoadTable.v1.replace-period.json",
}
# Reads an event and the service's name, calls the handler as Lambda does, prints its answer.
RUN_HANDLER = """
import importlib, json, sys
class Context:
    def get_remaining_time_in_millis(self):
        return 60_000
handler = importlib.import_module(f"services.{sys.argv[1]}.main").handler
answer = handler(json.load(sys.stdin), Context())
outside = [name for name, module in sys.modules.items() if name.split(".")[0] in {"infra", "ops"}]
print("ANSWER", json.dumps([answer["batchItemFailures"], outside]))
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what images are built from, to change at will."""
    for folder in ("contracts", "shared", "services", "requirements"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


def append_line(path: Path) -> None:
    path.write_text(path.read_text() + "# changed\n")


def hashes(tree: Path) -> dict[Service, str]:
    return {service: content_hash(tree, service) for service in SERVICES}


def changed(before: dict[Service, str], after: dict[Service, str]) -> set[Service]:
    return {service for service in SERVICES if before[service] != after[service]}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("file", ["services/{}/main.py", "requirements/{}.txt"])
def test_a_change_of_one_service_changes_its_image_alone(
    tree: Path, service: Service, file: str
) -> None:
    before = hashes(tree)
    append_line(tree / file.format(service))
    assert changed(before, hashes(tree)) == {service}
    assert services_touched(ROOT, [file.format(service)]) == [service]


@pytest.mark.parametrize("file", ["contracts/messages.py", "shared/worker.py"])
def test_a_change_of_what_services_share_changes_every_image(tree: Path, file: str) -> None:
    before = hashes(tree)
    append_line(tree / file)
    assert changed(before, hashes(tree)) == set(SERVICES)
    assert services_touched(ROOT, [file]) == list(DEPLOY_ORDER)


def test_a_file_that_no_image_holds_changes_none(tree: Path) -> None:
    before = hashes(tree)
    (tree / "README.md").write_text("changed")
    (tree / "contracts" / "__pycache__").mkdir()
    (tree / "contracts" / "__pycache__" / "messages.pyc").write_bytes(b"compiled")
    assert changed(before, hashes(tree)) == set()
    assert services_touched(ROOT, ["README.md", "tests/fakes.py", "ops/cli.py"]) == []


def test_a_change_of_the_infrastructure_deploys_every_service() -> None:
    assert services_touched(ROOT, ["infra/parts.py"]) == list(DEPLOY_ORDER)


def test_docker_gets_no_compiled_code_and_nothing_an_image_does_not_need() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "**/__pycache__" in lines
    assert [line for line in lines if line.startswith("!")] == [
        "!contracts",
        "!shared",
        "!services",
        "!requirements",
    ]


def build(service: Service, folder: Path) -> Path:
    """Make what the image holds: its files, and its pinned packages in a fresh environment."""
    for file, target in shipped_files(ROOT, service):
        place = folder / "app" / target
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
    uv = str(Path(sys.executable).with_name("uv"))
    python = folder / "venv" / "bin" / "python"
    lock = str(folder / "app" / "requirements.txt")
    make = [uv, "venv", "--quiet", "--python", sys.executable, str(folder / "venv")]
    install = [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(python), lock]
    for command in (make, install):
        subprocess.run(command, check=True)  # noqa: S603  # fixed words
    return python


@pytest.fixture
def outside(emulator_url: str, database_url: str, tmp_path: Path) -> Iterator[RunningServices]:
    """What surrounds the services; none of them runs."""
    zips = tmp_path / "zips"
    zips.mkdir()
    write_small_quarter(zips)
    with running_portal(Catalogue(zips, None, Period(2023, 2))) as portal:
        services = RunningServices(emulator_url, database_url, portal.url)
        yield services
        for service in SERVICES:
            services.drain(service)


@pytest.mark.parametrize("service", SERVICES)
def test_what_ships_handles_a_released_message_by_itself(
    service: Service, outside: RunningServices, tmp_path: Path
) -> None:
    body = prepare(service, (EXAMPLES / GOLDEN[service]).read_text(), outside, tmp_path)
    python = build(service, tmp_path)
    programs = service_programs(outside.endpoint, outside.database_url, outside.portal_url)
    variables = next(program.variables for program in programs if program.part == service)

    finished = subprocess.run(  # noqa: S603  # our own handler
        [python, "-c", RUN_HANDLER, service],
        cwd=tmp_path / "app",
        env={**variables, "QUARRY_FETCHER": "http"},
        input=json.dumps({"Records": [outside.record(service, body)]}),
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.returncode == 0, finished.stderr
    answer = finished.stdout.rsplit("ANSWER ", 1)[1]
    assert json.loads(answer) == [[], []]
    assert outside.parked(service) == []
    assert '"message":"step_done"' in finished.stdout


def prepare(service: Service, golden: str, outside: RunningServices, folder: Path) -> str:
    """Put into the lake what the released message speaks of; return the message."""
    s3 = outside.client("s3")
    if service == "processor":
        event = open_envelope(golden, FolderComplete).payload
        kept = (EXAMPLES / "Manifest.v1.quarter.json").read_text()
        manifest = Manifest.model_validate_json(kept)
        s3.put_object(
            Bucket=NAMES.bucket,
            Key=event.manifest.key,
            # As it was written then: today's model may have more fields.
            Body=json.dumps(json.loads(kept), indent=1, ensure_ascii=False).encode(),
        )
        files = {
            PANEL_NAME: panel({37: A_BANK}),
            schedule_name("RC"): schedule(["RCON2170", "RCFD2170"], [["37", "1000", ""]]),
        }
        for file in manifest.files:
            s3.put_object(Bucket=NAMES.bucket, Key=file.key, Body=files[file.name])
    if service == "loader":
        # Parquet is not the same to the byte in every version of its writer: its digests are new.
        made = write(folder / "rc.parquet", bank_rows({37: 1000}))
        document = json.loads(golden)
        payload = document["payload"]
        key = open_envelope(golden, LoadTable).payload.object.key
        s3.upload_file(str(folder / "rc.parquet"), NAMES.bucket, key)
        payload["object"] |= {"sha256": made.object.sha256, "bytes": made.object.bytes}
        payload["schema_fingerprint"] = made.schema_fingerprint
        return json.dumps(document)
    return golden

"""Dropped files through the real processes: S3's event, the rule, four services, curated answers.

The published files are used where they are; otherwise made-up ones of the same shape.
"""

import csv
import io
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import boto3
import pytest

from infra.names import SERVICES, Names
from ops.commands.sql import ask
from ops.sources import hires as source
from ops.stack.home import Home
from ops.stack.running import database_url, endpoint_url
from tests.emulator import local_session
from tests.stack_fixture import QuarryCommand

NAMES = Names("local")
DEADLINE_SECONDS = 120
VARIANTS: tuple[source.Variant, ...] = ("comma", "bom", "semicolon")
COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")


@dataclass(frozen=True)
class Dropping:
    """A stack and eyes on its lake, queues and tables."""

    quarry: QuarryCommand
    s3: Any
    sqs: Any
    url: str
    endpoint: str

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in ask(self.url, statement).rows]

    def value(self, statement: str) -> Any:
        ((found,),) = self.rows(statement)
        return found

    def keys(self, prefix: str) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=NAMES.bucket, Prefix=prefix)
        return [item["Key"] for item in found.get("Contents", [])]

    def read(self, key: str) -> bytes:
        data: bytes = self.s3.get_object(Bucket=NAMES.bucket, Key=key)["Body"].read()
        return data

    def drop(self, *files: Path) -> None:
        self.quarry.ok("drop", *map(str, files))
        self.settle()

    def settle(self) -> None:
        """Wait until nothing waits in the inbox and no service has anything to do."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self.keys("inbox/") or any(map(self._busy, SERVICES)):
            assert time.monotonic() < deadline, f"still waiting: {self.keys('inbox/')}"
            time.sleep(0.1)

    def _busy(self, service: Any) -> bool:
        queue = f"{self.endpoint}/{NAMES.account}/{NAMES.queue(service)}"
        found = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=list(COUNTS))
        return any(int(found["Attributes"][name]) for name in COUNTS)

    def parked(self) -> int:
        return sum(
            int(
                self.sqs.get_queue_attributes(
                    QueueUrl=f"{self.endpoint}/{NAMES.account}/{NAMES.dead_letter_queue(service)}",
                    AttributeNames=[COUNTS[0]],
                )["Attributes"][COUNTS[0]]
            )
            for service in SERVICES
        )


@pytest.fixture(scope="module")
def dropping(stack: QuarryCommand) -> Dropping:
    home = Home(stack.home)
    state = home.read()
    endpoint, url = endpoint_url(home, state), database_url(home, state)
    assert endpoint is not None
    assert url is not None
    session: boto3.Session = local_session()
    return Dropping(
        stack,
        session.client("s3", endpoint_url=endpoint),
        session.client("sqs", endpoint_url=endpoint),
        url,
        endpoint,
    )


@dataclass(frozen=True)
class Answers:
    """Both questions as a plain reading of the files answers them."""

    per_quarter: dict[tuple[str, str], list[int]]
    above_mean: list[tuple[int, str, int]]
    flagged: int
    rows: int


def expected(files: list[Path]) -> Answers:
    employees, departments, jobs = map(list, map(_records, files))
    names, titles = dict(departments), dict(jobs)
    good = [row for row in employees if all(cell.strip() for cell in row)]
    of_2021 = [row for row in good if row[2].startswith("2021-")]
    per_quarter: dict[tuple[str, str], list[int]] = {}
    for _, _, moment, department, job in of_2021:
        quarters = per_quarter.setdefault((names[department], titles[job]), [0, 0, 0, 0])
        quarters[(int(moment[5:7]) - 1) // 3] += 1
    hired = Counter(row[3] for row in of_2021)
    limit = mean(hired[key] for key in names)
    above = [(int(key), names[key], hired[key]) for key in names if hired[key] > limit]
    return Answers(
        per_quarter,
        sorted(above, key=lambda row: (-row[2], row[0])),
        len(employees) - len(good),
        len(employees),
    )


def _records(path: Path) -> Iterator[list[str]]:
    text = path.read_bytes().decode("utf-8-sig")
    delimiter = ";" if ";" in text.split("\n", 1)[0] else ","
    return (row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row and row[0])


def answered(dropping: Dropping) -> Answers:
    per_quarter = {
        (department, job): quarters
        for department, job, *quarters in dropping.rows("TABLE hires.hires_per_quarter_2021")
    }
    newest = (
        "FROM hires.hired_employees WHERE filename = 'hired_employees.csv' AND file_version ="
        " (SELECT max(file_version) FROM hires.hired_employees"
        " WHERE filename = 'hired_employees.csv')"
    )
    return Answers(
        per_quarter,
        dropping.rows("TABLE hires.departments_above_mean_2021"),
        dropping.value(f"SELECT count(*) {newest} AND problems IS NOT NULL"),
        dropping.value(f"SELECT count(*) {newest}"),
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_spelling_of_the_files_gives_the_answers_of_a_plain_reading(
    dropping: Dropping, variant: source.Variant, tmp_path: Path
) -> None:
    published, parked = source.are_published(), dropping.parked()
    files = source.published_files(variant) if published else source.make_up(tmp_path, variant)
    dropping.quarry.ok("demo-source", "hires", "--variant", variant)
    dropping.settle()
    assert answered(dropping) == expected(files)
    assert answered(dropping) == expected(
        source.published_files("comma") if published else source.make_up(tmp_path, "comma")
    )
    if published:
        assert (answered(dropping).flagged, answered(dropping).rows) == (70, 1_999)
    assert dropping.parked() == parked


@pytest.fixture
def loaded(dropping: Dropping, tmp_path: Path) -> Path:
    """A file of our own, dropped and loaded."""
    path = tmp_path / "jobs_ours.csv"
    path.write_bytes(b'id;job\r\n9001;"Baker\r\nof bread"\r\n9002;\r\n9003;Cook\r\n')
    dropping.drop(path)
    return path


OURS = "SELECT id, job, problems, file_version, row_number FROM hires.jobs WHERE filename = "


def test_raw_rows_keep_the_text_and_curated_ones_leave_out_what_is_flagged(
    dropping: Dropping, loaded: Path
) -> None:
    raw = dropping.rows(f"{OURS}'{loaded.name}' AND file_version = 1 ORDER BY row_number")
    assert raw == [
        ("9001", "Baker\r\nof bread", None, 1, 1),
        ("9002", None, ["job is blank"], 1, 2),
        ("9003", "Cook", None, 1, 3),
    ]
    assert dropping.rows("SELECT id, job FROM hires.curated_jobs WHERE id > 9000") == [
        (9001, "Baker\r\nof bread"),
        (9003, "Cook"),
    ]
    (moved,) = [key for key in dropping.keys("accepted/jobs/") if key.endswith(f"/{loaded.name}")]
    assert dropping.read(moved) == loaded.read_bytes()


def test_content_dropped_again_under_any_name_and_events_that_repeat_change_nothing(
    dropping: Dropping, loaded: Path
) -> None:
    counted = "SELECT count(*) FROM hires.jobs"
    before = dropping.value(counted)
    copy = loaded.with_name("jobs_copied.csv")
    copy.write_bytes(loaded.read_bytes())
    dropping.drop(loaded)
    dropping.drop(copy)
    report = dropping.quarry.document("send", "--dataset", "hires", "--wait")
    assert report["loads"] == {}
    assert dropping.value(counted) == before
    assert not [key for key in dropping.keys("accepted/") if key.endswith(copy.name)]


def test_new_content_under_a_name_is_a_new_version(dropping: Dropping, tmp_path: Path) -> None:
    path = tmp_path / "departments_ours.csv"
    for text in ("id,department\n901,Kitchen\n902,Garden\n", "902;Garden and yard\n903;Stable\n"):
        path.write_text(text)
        dropping.drop(path)
    raw = dropping.rows(
        "SELECT file_version, id FROM hires.departments WHERE filename = 'departments_ours.csv'"
        " ORDER BY 1, 2"
    )
    assert raw == [(1, "901"), (1, "902"), (2, "902"), (2, "903")]
    curated = "SELECT id, department FROM hires.curated_departments WHERE id > 900 ORDER BY 1"
    assert dropping.rows(curated) == [(902, "Garden and yard"), (903, "Stable")]
    # Departments without hires would move the mean of the other tests.
    path.write_text(";\n")
    dropping.drop(path)
    assert dropping.rows(curated) == []


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("weather.csv", b"1,2\n", "its name fits no pattern"),
        ("jobs_wide.csv", b"1,2,3\n", "jobs has 2 columns: id, job"),
        ("jobs_open.csv", b'1,Cook\n2,"Baker\n', "record 2, to line 2"),
    ],
)
def test_a_bad_file_is_rejected_with_a_reason_that_names_file_and_row(
    dropping: Dropping, tmp_path: Path, name: str, data: bytes, reason: str
) -> None:
    path, parked = tmp_path / name, dropping.parked()
    path.write_bytes(data)
    dropping.drop(path)
    (moved,) = [key for key in dropping.keys("rejected/") if key.endswith(f"/{name}")]
    document = json.loads(dropping.read(f"{moved}.reason.json"))
    assert dropping.read(moved) == data
    assert reason in document["reason"]
    shown = dropping.quarry.ok("runs", document["run_id"])
    assert f"{name} was rejected: " in " ".join(shown.split())
    assert dropping.parked() == parked


def test_a_record_of_another_width_is_quarantined_and_named(
    dropping: Dropping, tmp_path: Path
) -> None:
    path = tmp_path / "jobs_short.csv"
    path.write_bytes(b"9101,Baker\n9102\n9103,Cook\n")
    dropping.drop(path)
    run_id = dropping.value(
        "SELECT run_id FROM quarry.load WHERE load_id ="
        " (SELECT DISTINCT load_id FROM hires.jobs WHERE filename = 'jobs_short.csv')"
    )
    shown = " ".join(dropping.quarry.ok("runs", run_id).split())
    assert "jobs_short.csv: 1 rows do not fit, the first is row 2: 1 cells" in shown
    assert dropping.keys(f"clean/hires/all/{run_id}/_quarantine/jobs.parquet")
    assert dropping.rows("SELECT id FROM hires.curated_jobs WHERE id > 9100") == [(9101,), (9103,)]

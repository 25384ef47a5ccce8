"""The processor's use case with dropped files: tables, flags, quarantine, warnings."""

import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from contracts import LoadTable
from contracts.datasets.hires import DATASET
from contracts.drop_table import DropSource
from services.processor.process import process
from shared.consumer import Done
from shared.errors import ManifestMismatch, SchemaMismatch
from tests.dropped_files import COLLECTED, announce, listed
from tests.fakes import FakeLake, FakeSender

PREFIX = "clean/hires/all/run-1/"
FILES = {
    "hired_employees_a.csv": b"1,Ada,2021-11-07T02:48:42Z,2,96\n2,Bo,,8,\n",
    "hired_employees_b.csv": b"3;Cy;2021-05-30T05:43:46Z;8;1\n4;Di\n",
    "jobs.csv": b"id,job\n1,Baker\n",
}


async def run(folder: Path, lake: FakeLake, send: FakeSender, files: dict[str, bytes]) -> Done:
    found = []
    assert isinstance(DATASET.source, DropSource)
    for name, data in files.items():
        (folder / name).write_bytes(data)
        (table,) = DATASET.source.takers(name)
        file = listed(folder / name, table, name)
        await lake.put(file.key, data)
        found.append(file)
    event = await announce(lake, found)
    return await process(event, lake=lake, send=send, now=lambda: COLLECTED, threads=2)


def rows(lake: FakeLake, key: str) -> list[dict[str, Any]]:
    return pl.read_parquet(io.BytesIO(lake.objects[PREFIX + key])).rows(named=True)


async def test_the_files_of_a_table_become_one_load(tmp_path: Path) -> None:
    lake, send = FakeLake(), FakeSender()
    done = await run(tmp_path, lake, send, FILES)
    loads: dict[str, LoadTable] = {each.payload.table: each.payload for each in send.sent}
    assert set(loads) == {"hired_employees", "jobs"}
    assert (loads["jobs"].mode, loads["jobs"].rows, loads["jobs"].table_schema) == (
        "append",
        1,
        "hires",
    )
    assert loads["hired_employees"].rows == 3
    assert done.counts == {
        "files": 3,
        "bytes": sum(map(len, FILES.values())),
        "tables": 2,
        "rows": 4,
        "quarantined": 1,
    }


async def test_flagged_rows_are_in_the_table_and_the_others_in_quarantine(tmp_path: Path) -> None:
    lake = FakeLake()
    await run(tmp_path, lake, FakeSender(), FILES)
    found = rows(lake, "hired_employees.parquet")
    assert [(row["filename"], row["row_number"], row["problems"]) for row in found] == [
        ("hired_employees_a.csv", 1, None),
        ("hired_employees_a.csv", 2, ["datetime is blank", "job_id is blank"]),
        ("hired_employees_b.csv", 1, None),
    ]
    (kept_out,) = rows(lake, "_quarantine/hired_employees.parquet")
    assert (kept_out["file"], kept_out["row_number"], kept_out["record"]) == (
        "hired_employees_b.csv",
        2,
        "4;Di",
    )


async def test_warnings_name_file_and_row(tmp_path: Path) -> None:
    done = await run(tmp_path, FakeLake(), FakeSender(), FILES)
    assert done.warnings == (
        "hired_employees_a.csv: 1 rows are flagged, the first is row 2: datetime is blank",
        (
            "hired_employees_b.csv: 1 rows do not fit, the first is row 2: 2 cells, "
            "hired_employees has 5 columns"
        ),
    )


async def test_a_repeated_event_gives_the_same_bytes(tmp_path: Path) -> None:
    lake, first, second = FakeLake(), FakeSender(), FakeSender()
    await run(tmp_path, lake, first, FILES)
    before = dict(lake.objects)
    await run(tmp_path, lake, second, FILES)
    assert lake.objects == before
    # Tables are done side by side, so their messages come in any order.
    assert {each.payload for each in first.sent} == {each.payload for each in second.sent}


async def test_an_accepted_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    lake = FakeLake()
    path = tmp_path / "jobs.csv"
    path.write_bytes(FILES["jobs.csv"])
    assert isinstance(DATASET.source, DropSource)
    (table,) = DATASET.source.takers("jobs.csv")
    file = listed(path, table, "jobs.csv")
    await lake.put(file.key, b"id,job\n1,Cook!\n")
    event = await announce(lake, [file])
    with pytest.raises(ManifestMismatch, match=r"accepted/jobs/.*/jobs\.csv"):
        await process(event, lake=lake, send=FakeSender(), now=lambda: COLLECTED, threads=1)


async def test_a_manifest_that_does_not_say_what_a_file_is_is_refused(tmp_path: Path) -> None:
    lake = FakeLake()
    path = tmp_path / "jobs.csv"
    path.write_bytes(FILES["jobs.csv"])
    assert isinstance(DATASET.source, DropSource)
    (table,) = DATASET.source.takers("jobs.csv")
    file = listed(path, table, "jobs.csv").model_copy(update={"dropped": None})
    await lake.put(file.key, FILES["jobs.csv"])
    event = await announce(lake, [file])
    with pytest.raises(SchemaMismatch, match="names no table"):
        await process(event, lake=lake, send=FakeSender(), now=lambda: COLLECTED, threads=1)

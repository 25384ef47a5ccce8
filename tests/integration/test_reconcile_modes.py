"""Tables of every load mode against their loads: they agree, or the difference is named."""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pytest

from contracts import CollectedFile, LoadMode, Manifest
from ops.reconcile import reconcile
from services.loader import credentials
from services.loader.exactly_once import load_parquet
from services.loader.ledger import Provenance
from services.loader.postgres import Connection, Database
from tests.fakes import FakeLake
from tests.loads import FIRST, LIMITS, write


@dataclass
class Place:
    """A lake and a database with a table `sales.{mode}` that several runs have loaded."""

    database: Database
    connection: Connection
    folder: Path
    lake: FakeLake = field(default_factory=FakeLake)
    runs: int = 0

    async def load(self, mode: LoadMode, prices: dict[int, float | None]) -> None:
        """Do what a run with one packet of these rows leaves behind."""
        self.runs += 1
        run = f"run-{self.runs}"
        raw = f"raw/totesys/all/{run}/"
        name = f"sale_{self.runs}_packet.jsonl"
        data = "".join(json.dumps({"sale": sale}) + "\n" for sale in prices).encode()
        await self.lake.put(raw + name, data)
        sha256 = hashlib.sha256(data).hexdigest()
        member = CollectedFile(name=name, key=raw + name, bytes=len(data), sha256=sha256)
        manifest = Manifest(
            dataset="totesys",
            period=None,
            run_id=run,
            source_url="https://example.org/db",
            collected_at=FIRST,
            files=(member,),
        )
        await self.lake.put(f"{raw}_manifest.json", manifest.model_dump_json().encode())
        table = pa.table(
            {
                "sale": pa.array(list(prices), pa.int64()),
                "price": pa.array(list(prices.values()), pa.float64()),
                "filename": pa.array([name] * len(prices), pa.string()),
                "row_number": pa.array(range(1, len(prices) + 1), pa.int64()),
            }
        )
        path = self.folder / f"{uuid4()}.parquet"
        as_of = FIRST + timedelta(hours=self.runs)
        declared = write(path, table, mode=mode, key=("sale",), name=mode, period=None, as_of=as_of)
        declared = declared.model_copy(
            update={
                "dataset": "totesys",
                "table_schema": "sales",
                "manifest_key": f"{raw}_manifest.json",
            }
        )
        await self.lake.put(declared.object.key, path.read_bytes())
        counts = {"rows_in": len(prices), "rows": len(prices), "tables": 1}
        packets = [{"table": "sale", "id": self.runs}]
        report = json.dumps({"packets": packets, "counts": counts})
        await self.lake.put(f"clean/totesys/all/{run}/_report.json", report.encode())
        provenance = Provenance(declared.load_id, run, "test")
        await load_parquet(self.connection, path, declared, provenance, LIMITS)

    async def differences(self) -> list[str]:
        found = await reconcile(self.database, self.lake)
        return [f"{one.where} {one.what}" for one in found.differences]


@pytest.fixture
async def place(
    database_url: str, ledger_connection: Connection, tmp_path: Path
) -> AsyncIterator[Place]:
    async with Database.open(credentials.fixed(database_url), connections=2) as database:
        yield Place(database, ledger_connection, tmp_path)


MODES: list[LoadMode] = ["append", "merge", "replace"]


async def three_runs(place: Place, mode: LoadMode) -> None:
    await place.load(mode, {1: 10.5, 2: None})
    await place.load(mode, {2: 20.0, 3: 30.0})
    await place.load(mode, {2: 20.0, 3: 33.0, 4: 40.0})


@pytest.mark.parametrize("mode", MODES)
async def test_a_table_that_is_what_its_loads_make_of_it_agrees(
    place: Place, mode: LoadMode
) -> None:
    await three_runs(place, mode)

    assert await place.differences() == []


@pytest.mark.parametrize("mode", MODES)
async def test_comparing_leaves_nothing_behind(place: Place, mode: LoadMode) -> None:
    await three_runs(place, mode)
    everything = "SELECT nspname, relname, reltuples FROM pg_class JOIN pg_namespace n"
    everything += " ON n.oid = relnamespace WHERE nspname !~ '^pg_' ORDER BY 1, 2"
    before = await place.connection.fetch(everything)
    loads = await place.connection.fetch("SELECT * FROM quarry.load ORDER BY load_id")

    await reconcile(place.database, place.lake)

    assert await place.connection.fetch(everything) == before
    assert await place.connection.fetch("SELECT * FROM quarry.load ORDER BY load_id") == loads


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("UPDATE {} SET price = 34 WHERE price = 33", "1 of their rows are not in it, 1 of its"),
        ("UPDATE {} SET price = NULL WHERE price = 40", "1 of their rows are not in it, 1 of its"),
        ("DELETE FROM {} WHERE sale = 4", "rows, all loads together"),
    ],
)
async def test_a_value_or_row_that_no_load_brought_is_named(
    place: Place, mode: LoadMode, change: str, sentence: str
) -> None:
    await three_runs(place, mode)
    await place.connection.execute(change.format(f"sales.{mode}"))

    found = await place.differences()

    assert [one for one in found if sentence in one] == found != []


async def test_a_row_that_was_appended_twice_is_named(place: Place) -> None:
    await three_runs(place, "append")
    await place.connection.execute(
        "INSERT INTO sales.append SELECT * FROM sales.append WHERE price = 33;"
        "DELETE FROM sales.append WHERE price = 40"
    )

    (difference,) = await place.differences()

    assert "1 of their rows are not in it, 1 of its rows are not theirs" in difference


async def test_a_column_that_widened_since_is_compared_as_it_is_now(place: Place) -> None:
    await three_runs(place, "replace")
    await place.connection.execute(
        "ALTER TABLE sales.replace ALTER COLUMN price TYPE text, ADD COLUMN note text"
    )
    assert await place.differences() == []

    await place.connection.execute("UPDATE sales.replace SET note = 'by hand' WHERE sale = 2")
    assert "1 of its rows are not theirs" in (await place.differences())[0]


async def test_every_load_of_an_appended_table_is_compared_with_its_object(place: Place) -> None:
    await three_runs(place, "append")
    first = await place.connection.fetchval(
        "SELECT object_key FROM quarry.load ORDER BY as_of LIMIT 1"
    )
    place.lake.objects[first] += b"x"

    assert "is not the object of the ledger" in (await place.differences())[0]


async def test_a_packet_that_lost_a_row_and_a_load_that_is_missing_are_named(place: Place) -> None:
    await three_runs(place, "append")
    for run, counts in (
        ("run-1", {"rows_in": 3, "rows": 2, "tables": 1}),
        ("run-2", {"rows_in": 2, "rows": 2, "tables": 2}),
        ("run-3", {"rows_in": 3, "rows": 4, "tables": 1}),
    ):
        key = f"clean/totesys/all/{run}/_report.json"
        report = json.loads(place.lake.objects[key]) | {"counts": counts}
        await place.lake.put(key, json.dumps(report).encode())

    found = await place.differences()

    assert [one.partition("_report.json ")[2] for one in sorted(found)] == [
        "the packets hold 2 rows, the processor read 3",
        "2 loads ordered, 1 in the ledger",
        "4 rows cleaned, 3 in the ledger",
    ]

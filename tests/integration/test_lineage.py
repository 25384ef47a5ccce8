"""A row's lineage, and the comparison of members, manifest, Parquet, ledger and table."""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from contracts import CollectedFile, LoadTable, Manifest
from ops.lineage import NoSuchRow, explain
from ops.reconcile import reconcile
from services.loader import credentials
from services.loader.exactly_once import load_parquet
from services.loader.postgres import Connection, Database
from tests.fakes import FakeLake
from tests.loads import FIRST, LIMITS, PROVENANCE, bank_rows, write

MEMBER = "FFIEC CDR Call Schedule RC 03312013.txt"
RUN = PROVENANCE.run_id
RAW = f"raw/call_reports/2013Q1/{RUN}/"
REPORT = f"clean/call_reports/2013Q1/{RUN}/_report.json"


@dataclass
class Place:
    """A lake and a database that one folder has gone through."""

    database: Database
    connection: Connection
    folder: Path
    lake: FakeLake = field(default_factory=FakeLake)

    async def load(self, assets: dict[int, int | None], *, hours: int = 0) -> LoadTable:
        """Do what collector, processor and loader leave behind of 2013Q1."""
        lines = ['"IDRSSD"\tRCFD2170\t', "\tTOTAL ASSETS\t"]
        lines += [f"{bank}\t{value}\t" for bank, value in assets.items()]
        data = "\r\n".join([*lines, ""]).encode()
        sha256 = hashlib.sha256(data).hexdigest()
        key = RAW + MEMBER
        await self.lake.put(key, data)
        manifest = Manifest(
            dataset="call_reports",
            period="2013Q1",
            run_id=RUN,
            source_url="https://example.org/bulk",
            collected_at=FIRST,
            files=(CollectedFile(name=MEMBER, key=key, bytes=len(data), sha256=sha256),),
        )
        await self.lake.put(f"{RAW}_manifest.json", manifest.model_dump_json().encode())
        path = self.folder / f"{uuid4()}.parquet"
        table = bank_rows(assets)
        table = table.set_column(3, "filename", [[MEMBER] * len(assets)])
        declared = write(path, table, as_of=FIRST + timedelta(hours=hours))
        declaration = declared.model_copy(update={"manifest_key": f"{RAW}_manifest.json"})
        await self.lake.put(declaration.object.key, path.read_bytes())
        account = {"table": "rc", "files": [MEMBER], "quarantined": 0}
        account |= {"rows_in": len(assets), "rows_out": len(assets)}
        await self.lake.put(REPORT, json.dumps({"tables": [account]}).encode())
        await load_parquet(self.connection, path, declaration, PROVENANCE, LIMITS)
        return declaration

    async def differences(self) -> list[str]:
        found = await reconcile(self.database, self.lake)
        return [f"{one.where} {one.what}" for one in found.differences]


@pytest.fixture
async def place(
    database_url: str, ledger_connection: Connection, tmp_path: Path
) -> AsyncIterator[Place]:
    async with Database.open(credentials.fixed(database_url), connections=2) as database:
        yield Place(database, ledger_connection, tmp_path)


async def test_a_row_leads_back_to_its_file_and_source(place: Place) -> None:
    declaration = await place.load({37: 100, 242: 200})

    found = await explain(place.database, place.lake, "call_reports.rc", ["242", "2013Q1"])

    assert found.row["rcfd2170"] == 200
    assert found.load.load_id == declaration.load_id
    assert found.load.message_id == PROVENANCE.message_id
    assert found.file is not None
    assert found.file.name == MEMBER
    assert found.manifest is not None
    assert found.manifest.source_url == "https://example.org/bulk"


async def test_a_row_tells_what_it_was_before(place: Place) -> None:
    first = await place.load({37: 100, 242: 200})
    second = await place.load({37: 100, 242: 222}, hours=1)

    found = await explain(
        place.database, place.lake, "call_reports.rc", ["idrssd=242", "period_end=2013-03-31"]
    )

    (version,) = found.versions
    assert (version.old or {})["rcfd2170"] == 200
    assert (version.known_from, version.replaced_by) == (first.load_id, second.load_id)
    same = await explain(place.database, place.lake, "call_reports.rc", ["37", "2013Q1"])
    assert same.load.load_id == first.load_id
    assert same.versions == []


async def test_an_appended_row_is_found_by_any_of_its_columns(place: Place) -> None:
    await place.load({37: 100, 242: 200})
    await place.connection.execute("CREATE TABLE call_reports.facts AS TABLE call_reports.rc")

    found = await explain(place.database, place.lake, "call_reports.facts", ["rcfd2170=200"])

    assert found.row["idrssd"] == 242
    assert found.file is not None
    for words, sentence in ((["37"], "'37' is none"), (["a=1"], "'a' is none"), ([], "no key")):
        with pytest.raises(NoSuchRow, match=sentence):
            await explain(place.database, place.lake, "call_reports.facts", words)


@pytest.mark.parametrize(
    ("table", "key", "sentence"),
    [
        ("rc", ["1"], "not schema.table"),
        ("call_reports.none", ["1"], "no table call_reports.none; look"),
        ("call_reports.rc", ["1"], "the key is: period_end, idrssd"),
        ("call_reports.rc", ["1", "soon"], "is not a date"),
        ("call_reports.rc", ["1", "2013Q1"], "no row with"),
    ],
)
async def test_a_row_that_is_not_there_is_explained(
    place: Place, table: str, key: list[str], sentence: str
) -> None:
    await place.load({37: 100})

    with pytest.raises(NoSuchRow, match=sentence):
        await explain(place.database, place.lake, table, key)


async def test_a_folder_that_went_through_agrees_everywhere(place: Place) -> None:
    await place.load({37: 100, 242: 200})
    await place.load({37: 100, 242: 222, 500: None}, hours=1)

    found = await reconcile(place.database, place.lake)

    assert found.differences == ()
    assert (found.folders, found.files, found.loads, found.rows) == (1, 1, 1, 3)


async def test_comparing_changes_nothing(place: Place) -> None:
    await place.load({37: 100})
    before = await place.connection.fetch("SELECT * FROM quarry.load")

    await reconcile(place.database, place.lake)

    assert await place.connection.fetch("SELECT * FROM quarry.load") == before


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE call_reports.rc SET rcfd2170 = 1 WHERE idrssd = 37", "1 differ"),
        ("DELETE FROM call_reports.rc WHERE idrssd = 37", "the table has 1 rows, the ledger 2"),
        (
            "UPDATE call_reports.rc SET idrssd = 38 WHERE idrssd = 37",
            "1 rows are missing, 0 differ, 1 are too many",
        ),
    ],
)
async def test_a_table_that_is_not_its_parquet_is_named(
    place: Place, statement: str, sentence: str
) -> None:
    await place.load({37: 100, 242: 200})
    await place.connection.execute(statement)

    (difference,) = await place.differences()

    assert sentence in difference


async def test_a_member_with_other_bytes_or_none_is_named(place: Place) -> None:
    await place.load({37: 100})
    data = place.lake.objects[RAW + MEMBER]
    place.lake.objects[RAW + MEMBER] = data.replace(b"100", b"101")
    assert "does not have the digest" in (await place.differences())[0]

    place.lake.objects[RAW + MEMBER] = data + b"x\r\n"
    assert "bytes, the manifest says" in (await place.differences())[0]

    del place.lake.objects[RAW + MEMBER]
    assert "is in the manifest, but" in (await place.differences())[0]


async def test_a_member_outside_the_manifest_is_named(place: Place) -> None:
    await place.load({37: 100})
    await place.lake.put(RAW + "stray.txt", b"x")

    assert await place.differences() == [f"{RAW}stray.txt is stored, but not in the manifest"]


async def test_a_parquet_object_that_is_another_or_gone_is_named(place: Place) -> None:
    declaration = await place.load({37: 100})
    place.lake.objects[declaration.object.key] += b"x"
    assert "is not the object of the ledger" in (await place.differences())[0]

    del place.lake.objects[declaration.object.key]
    assert "its Parquet object is gone" in (await place.differences())[0]


async def test_records_that_the_processor_lost_are_named(place: Place) -> None:
    await place.load({37: 100, 242: 200})
    report = json.loads(place.lake.objects[REPORT])
    report["tables"][0]["rows_in"] = 3
    await place.lake.put(REPORT, json.dumps(report).encode())

    assert await place.differences() == [
        "2013Q1/rc 3 rows in, but 2 out and 0 quarantined",
        f"2013Q1/rc {MEMBER} holds 2 records, the processor read 3",
    ]

import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types
import pytest

from contracts import Envelope, FolderComplete, LoadTable
from contracts.column_types import DeclaredTypes
from contracts.datasets.invoices import DATASET
from services.processor.clean_table import Opening
from services.processor.column_types import KnownTypes
from services.processor.item_folder import open_items
from services.processor.load_order import content_digest
from services.processor.process import process
from shared.consumer import Done
from shared.errors import RowsUnaccounted, UnexpectedMember
from tests.fakes import FakeLake, FakeSender
from tests.scanned_items import COLLECTED, PREFIX, document, lines, scanned

CLEAN = "clean/invoices/all/run-1/"


async def run(
    envelope: Envelope[FolderComplete], lake: FakeLake, send: FakeSender | None = None
) -> Done:
    return await process(
        envelope, lake=lake, send=send or FakeSender(), now=lambda: COLLECTED, threads=2
    )


def loads(send: FakeSender) -> dict[str, LoadTable]:
    return {envelope.payload.table: envelope.payload for envelope in send.sent}


def table(lake: FakeLake, name: str) -> pa.Table:
    return pq.read_table(io.BytesIO(lake.objects[f"{CLEAN}{name}.parquet"]))


def quarantine(lake: FakeLake, name: str) -> list[dict[str, Any]]:
    data = lake.objects[f"{CLEAN}_quarantine/{name}.parquet"]
    return pl.read_parquet(io.BytesIO(data)).rows(named=True)


async def test_every_declared_table_is_ordered_to_replace_its_target() -> None:
    lake, send = FakeLake(), FakeSender()
    await run(await scanned(lake, {"documents": [lines(document("d-1"))]}), lake, send)
    assert {name: (load.mode, load.key, load.rows) for name, load in loads(send).items()} == {
        "cases": ("replace", ("document_id",), 1),
        "metadata": ("replace", ("document_id", "version"), 0),
        "templates": ("replace", ("template_id",), 0),
        "audit": ("replace", ("document_id", "event_id"), 0),
    }


async def test_items_become_typed_rows_with_their_file_and_line() -> None:
    lake = FakeLake()
    nested = {"L": [{"M": {"sku": {"S": "A"}, "price": {"N": "1.10"}}}]}
    first = lines(document("d-1"), document("d-2", lines=nested))
    await run(await scanned(lake, {"documents": [first, lines(document("d-3"))]}), lake)
    rows = table(lake, "cases").select(["document_id", "filename", "row_number"]).to_pylist()
    names = [f"documents.1-of-1.{number:06}.jsonl" for number in (1, 2)]
    assert [tuple(row.values()) for row in rows] == [
        ("d-1", names[0], 1),
        ("d-2", names[0], 2),
        ("d-3", names[1], 1),
    ]
    (second,) = table(lake, "cases").slice(1, 1).to_pylist()
    assert second["net"] == Decimal("12.34")
    assert (second["first_sku"], second["lines"]) == ("A", '[{"sku":"A","price":1.10}]')
    assert str(table(lake, "cases").schema.field("lines").type) == "extension<arrow.json>"


async def test_an_empty_table_is_a_file_with_columns_and_no_rows() -> None:
    lake = FakeLake()
    done = await run(await scanned(lake, {}), lake)
    assert table(lake, "audit").num_rows == 0
    assert "event_id" in table(lake, "audit").column_names
    assert (done.counts["rows"], done.counts["tables"]) == (0, 4)


async def test_items_that_do_not_fit_are_quarantined_with_key_rule_and_reason() -> None:
    lake = FakeLake()
    bad = document("d-2", paid={"S": "yes"})
    data = lines(document("d-1"), bad, document("d-3", status=None)) + b"{}\n"
    done = await run(await scanned(lake, {"documents": [data]}), lake)
    found = quarantine(lake, "cases")
    assert [(row["row_number"], row["key"], row["rule"], row["column"]) for row in found] == [
        (2, "document_id=d-2", "wrong_type", "paid"),
        (3, "document_id=d-3", "missing", "status"),
        (4, None, "not_an_item", None),
    ]
    assert found[0]["reason"] == "paid is a S, not a BOOL"
    assert json.loads(found[0]["record"]) == {"Item": bad}
    assert (done.counts["rows"], done.counts["quarantined"]) == (1, 3)
    assert "cases: document_id=d-2: paid is a S, not a BOOL" in done.warnings


async def test_a_few_misfits_are_named_and_the_rest_are_counted() -> None:
    lake = FakeLake()
    bad = [document(f"d-{n}", paid={"N": "1"}) for n in range(8)]
    done = await run(await scanned(lake, {"documents": [lines(*bad)]}), lake)
    assert len(done.warnings) == 6
    assert done.warnings[-1] == "cases: 3 more items are quarantined"


async def test_a_key_of_two_attributes_is_told_whole() -> None:
    lake = FakeLake()
    item = {"document_id": {"S": "d-1"}, "version": {"N": "2"}, "updated_at": {"S": "never"}}
    await run(await scanned(lake, {"metadata": [lines(item)]}), lake)
    assert quarantine(lake, "metadata")[0]["key"] == "document_id=d-1, version=2"


async def test_a_file_without_the_items_that_were_scanned_stops_the_run() -> None:
    lake = FakeLake()
    event = await scanned(lake, {"documents": [lines(document("d-1"))]}, rows=2)
    with pytest.raises(RowsUnaccounted, match=r"documents\.1-of-1\.000001\.jsonl: 2 items were"):
        await run(event, lake)


async def test_a_file_of_no_declared_table_is_refused() -> None:
    opening = Opening(DATASET, None, {"stray.jsonl": Path("stray.jsonl")})
    with pytest.raises(UnexpectedMember, match=r"'stray\.jsonl' is not a file of audit, documents"):
        open_items(opening)


async def test_csv_lies_beside_the_parquet_when_it_is_asked_for() -> None:
    lake = FakeLake()
    item = document("d-1", tags={"SS": ["b", "a,c"]}, case_number={"S": ""})
    await run(await scanned(lake, {"documents": [lines(item)]}, save_csv=True), lake)
    header, row = lake.objects[f"{CLEAN}cases.csv"].decode().splitlines()
    assert header.startswith('"document_id","case_number","status","customer_name"')
    assert row == (
        '"d-1","","sent","O\'Hara, ""Ltd""",,,"GBP",12.3400,,,true,"[""a,c"", ""b""]",,,'
        '2026-11-20,2026-11-20T08:00:00+00:00,,"documents.1-of-1.000001.jsonl",1'
    )
    assert lake.objects[f"{CLEAN}audit.csv"].count(b"\n") == 1


async def test_without_asking_there_is_no_csv() -> None:
    lake = FakeLake()
    await run(await scanned(lake, {}), lake)
    assert not [key for key in lake.objects if key.endswith(".csv")]


async def test_the_same_items_ask_for_the_same_load_and_other_builders_for_another() -> None:
    lake, send = FakeLake(), FakeSender()
    event = await scanned(lake, {"documents": [lines(document("d-1"))]})
    await run(event, lake, send)
    first = loads(send)
    await run(event, lake, send)
    assert loads(send) == first
    cases = DATASET.items[0]
    other = cases.model_copy(update={"columns": cases.columns[::-1]})
    assert content_digest((), "f" * 64, cases.digest) != content_digest((), "f" * 64, other.digest)
    assert first["cases"].manifest_key == f"{PREFIX}_manifest.json"


def test_a_part_holds_ten_thousand_items_or_some_megabytes(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(lines(document("d-1")) * 25_000)
    large.write_bytes(lines(document("d-1", note={"S": "x" * 1_000_000})) * 20)
    names = ("documents.1-of-1.000001.jsonl", "documents.1-of-1.000002.jsonl")
    folder = open_items(Opening(DATASET, None, dict(zip(names, (small, large), strict=True))))
    parts = folder.clean("cases", KnownTypes(DeclaredTypes(), {})).parts()
    sizes = [part.rows_in for part in parts]
    assert sum(sizes) == 25_020
    assert max(sizes) == 10_000
    assert sizes[-2] == 9

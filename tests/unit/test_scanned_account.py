"""Scanned = loaded + quarantined, as `quarry reconcile` sees it."""

import json
from uuid import uuid4

import pytest

from contracts import LoadTable, S3Object
from ops.agreement.account import check_account
from ops.agreement.ledger import LedgerLine
from tests.fakes import FakeLake
from tests.scanned_items import COLLECTED, PREFIX

FILES = {"documents.1-of-2.000001.jsonl": 5, "documents.2-of-2.000001.jsonl": 2}


async def differences(*, loaded: int, quarantined: int) -> list[str]:
    """Return what is said of a table of 7 scanned items that became so many rows."""
    lake = FakeLake()
    table = {
        "table": "cases",
        "files": list(FILES),
        "rows_in": loaded + quarantined,
        "rows_out": loaded,
        "quarantined": quarantined,
    }
    report = json.dumps({"tables": [table]}).encode()
    await lake.put("clean/invoices/all/run-1/_report.json", report)
    load = LoadTable(
        dataset="invoices",
        load_id=uuid4(),
        table_schema="invoices",
        table="cases",
        mode="replace",
        object=S3Object(bucket="lake", key="cases.parquet", bytes=1, sha256="0" * 64),
        rows=loaded,
        schema_fingerprint="0" * 64,
        content_digest="0" * 64,
        manifest_key=f"{PREFIX}_manifest.json",
        as_of=COLLECTED,
    )
    line = LedgerLine(load, "run-1", "loaded")
    return [one.what for one in await check_account(lake, line, [line], FILES)]


@pytest.mark.parametrize(("loaded", "quarantined"), [(7, 0), (5, 2), (0, 7)])
async def test_every_scanned_item_is_loaded_or_quarantined(loaded: int, quarantined: int) -> None:
    assert await differences(loaded=loaded, quarantined=quarantined) == []


async def test_an_item_that_is_neither_is_a_difference() -> None:
    assert await differences(loaded=5, quarantined=1) == [
        "7 items scanned, but 5 loaded and 1 quarantined"
    ]

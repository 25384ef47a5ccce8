"""DynamoDB tables through the real processes, compared with the items themselves."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import boto3
import pytest
from boto3.dynamodb.types import TypeDeserializer

from infra.names import LOCAL_REGION, Names
from ops.sources import invoices_items
from ops.sources.invoices import put_all, table_name
from ops.sources.invoices_items import Item
from ops.target import Target, in_own_database
from tests.stack_fixture import QuarryCommand

DOCUMENTS = 300
EVENTS = 50_000
MOST_RESIDENT_KB = 600 * 1024
OWN_DATABASE = "invoice-transactions-local-dw"


@dataclass(frozen=True)
class Both:
    """The four tables and their warehouse on one stack."""

    quarry: QuarryCommand
    endpoint: str
    url: str
    # One for all calls: sessions may not be shared between threads, clients may.
    dynamodb: Any = field(repr=False)
    s3: Any = field(repr=False)

    def warehouse(self, statement: str) -> list[dict[str, Any]]:
        return asyncio.run(_rows(in_own_database(self.url, OWN_DATABASE), statement))

    def put(self, table: str, items: Iterable[Item]) -> None:
        asyncio.run(self._put(table, items))

    async def _put(self, table: str, items: Iterable[Item]) -> None:
        async with Target(Names("local"), self.endpoint).clients() as clients:
            await put_all(clients.dynamodb, table, items)

    def delete(self, table: str, **key: str) -> None:
        self.dynamodb.delete_item(
            TableName=table_name(table), Key={name: {"S": text} for name, text in key.items()}
        )

    def items(self, table: str) -> Iterator[dict[str, Any]]:
        """Every item as Python values, read by boto3's own deserializer."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=table_name(table))
        for page in pages:
            for item in page["Items"]:
                yield TypeDeserializer().deserialize({"M": item})

    def pull(self, *options: str) -> dict[str, Any]:
        report: dict[str, Any] = self.quarry.document(
            "send", "--dataset", "invoices", "--wait", *options
        )
        return report

    def objects(self, prefix: str) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=Names("local").bucket, Prefix=prefix
        )
        return [found["Key"] for page in pages for found in page.get("Contents", ())]

    def text(self, key: str) -> str:
        answer = self.s3.get_object(Bucket=Names("local").bucket, Key=key)
        return str(answer["Body"].read().decode())


async def _rows(url: str, statement: str) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(url)
    try:
        return [dict(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def both(stack: QuarryCommand) -> Both:
    """A stack whose invoices were pulled once."""
    stack.ok("demo-source", "invoices", "--documents", str(DOCUMENTS))
    exports = dict(
        line.removeprefix("export ").split("=", 1) for line in stack.ok("env").splitlines()
    )
    found = {name: text.strip("'") for name, text in exports.items()}
    session = boto3.Session(
        found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"], region_name=LOCAL_REGION
    )
    endpoint = found["AWS_ENDPOINT_URL"]
    both = Both(
        stack,
        endpoint,
        found["DATABASE_URL"],
        session.client("dynamodb", endpoint_url=endpoint),
        session.client("s3", endpoint_url=endpoint),
    )
    report = both.pull("--save-csv")
    assert report["quarantined"] == 0, json.dumps(report)
    return both


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def test_cases_say_what_the_documents_say(both: Both) -> None:
    def expected(item: dict[str, Any]) -> tuple[Any, ...]:
        address = item["customer"]["address"] or {}
        lines = item["lines"]
        return (
            item["case_number"],
            item["customer"]["name"],
            address.get("city"),
            address.get("postcode"),
            item["amount"]["net"],
            item["amount"]["tax"],
            sorted(item["tax_rates"]) if "tax_rates" in item else None,
            item["paid"],
            sorted(item["tags"]) if "tags" in item else None,
            lines[0]["sku"] if lines else None,
            lines,
            date.fromisoformat(item["issued_on"]),
            _moment(item["received_at"]),
            datetime.fromtimestamp(int(item["ttl"]), UTC),
        )

    rows = both.warehouse("SELECT * FROM invoices.cases")
    found = {
        row["document_id"]: (
            row["case_number"],
            row["customer_name"],
            row["customer_city"],
            row["customer_postcode"],
            row["net"],
            row["tax"],
            row["tax_rates"],
            row["paid"],
            row["tags"],
            row["first_sku"],
            json.loads(row["lines"], parse_float=Decimal, parse_int=Decimal),
            row["issued_on"],
            row["received_at"],
            row["expires_at"],
        )
        for row in rows
    }
    assert found == {item["document_id"]: expected(item) for item in both.items("documents")}
    assert len(found) == DOCUMENTS


def test_metadata_keep_bytes_nested_values_and_both_keys(both: Both) -> None:
    rows = both.warehouse("SELECT * FROM invoices.metadata")
    found = {
        (row["document_id"], row["version"]): (row["pages"], row["size_bytes"], row["checksum"])
        for row in rows
    }
    items = list(both.items("metadata"))
    assert found == {
        (item["document_id"], int(item["version"])): (
            item.get("pages"),
            item.get("size_bytes"),
            bytes(item["checksum"]) if "checksum" in item else None,
        )
        for item in items
    }
    nested = both.warehouse(
        "SELECT count(*) FROM invoices.metadata WHERE (attributes #>> '{scanner,dpi}')::int = 300"
    )
    assert nested[0]["count"] == sum("scanner" in item["attributes"] for item in items)


def test_templates_keep_twenty_places_and_the_order_of_lists(both: Both) -> None:
    rows = both.warehouse("SELECT template_id, scale, fields FROM invoices.templates")
    assert {row["template_id"]: (row["scale"], row["fields"]) for row in rows} == {
        item["template_id"]: (item["scale"], item["fields"]) for item in both.items("templates")
    }


def test_the_rows_lie_beside_the_parquet_as_csv_when_asked(both: Both) -> None:
    prefix = "clean/invoices/"
    keys = [key for key in both.objects(prefix) if key.endswith(".csv")]
    assert sorted(Path(key).stem for key in keys) == ["audit", "cases", "metadata", "templates"]
    (cases,) = [key for key in keys if key.endswith("/cases.csv")]
    assert cases.replace(".csv", ".parquet") in both.objects(prefix)
    assert both.text(cases).count("\n") == DOCUMENTS + 1


def test_an_item_that_does_not_fit_is_quarantined_by_its_key_and_comes_back_mended(
    both: Both,
) -> None:
    (bad,) = invoices_items.documents(1)
    bad |= {"document_id": {"S": "doc-bad"}, "paid": {"S": "yes"}}
    both.put("documents", [bad])
    report = both.pull()
    assert report["quarantined"] == 1
    assert any("document_id=doc-bad: paid is a S, not a BOOL" in one for one in report["warnings"])
    key = f"clean/invoices/all/{report['run_id']}/_quarantine/cases.parquet"
    assert key in both.objects(key)
    assert report["tables"]["invoices.cases"] == DOCUMENTS
    both.put("documents", [bad | {"paid": {"BOOL": True}}])
    assert both.pull()["tables"]["invoices.cases"] == DOCUMENTS + 1
    both.delete("documents", document_id="doc-bad")


def test_an_empty_table_empties_its_target(both: Both) -> None:
    templates = list(invoices_items.templates())
    for item in templates:
        both.delete("templates", template_id=item["template_id"]["S"])
    report = both.pull()
    assert report["tables"]["invoices.templates"] == 0
    assert both.warehouse("SELECT count(*) FROM invoices.templates")[0]["count"] == 0
    both.put("templates", templates)
    both.pull()
    found = both.warehouse("SELECT count(*) FROM invoices.templates")
    assert found[0]["count"] == len(templates)


def test_at_most_so_many_items_are_taken_when_asked(both: Both) -> None:
    report = both.pull("--max-items", "7")
    assert set(report["tables"].values()) == {7}
    assert any("templates: stopped after 7 items, as asked" in one for one in report["warnings"])
    both.pull()


@contextmanager
def _meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Repeat `work` in a thread while the block runs; what it raises fails the test."""
    stopping = threading.Event()
    failed: list[BaseException] = []

    def repeat() -> None:
        try:
            while not stopping.is_set():
                work()
        except BaseException as error:  # noqa: BLE001  # told below, in the test's own thread
            failed.append(error)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
    assert failed == []


def test_fifty_thousand_items_in_four_segments_while_items_are_written(both: Both) -> None:
    before = both.warehouse("SELECT count(*) FROM invoices.audit")[0]["count"]
    both.put("audit", invoices_items.audit(EVENTS // 2))
    written = iter(range(1, EVENTS))
    seen: set[int] = set()

    def write() -> None:
        """Change an event in two attributes at once, and add one; some sixty a second."""
        n = next(written)
        changed = next(invoices_items.audit(1)) | {
            "document_id": {"S": invoices_items.document_id(n * 7)},
            "actor": {"S": f"writer {n}"},
            "action": {"S": f"rewritten {n}"},
        }
        for item in (changed, changed | {"document_id": {"S": f"new-{n}"}}):
            both.dynamodb.put_item(TableName=table_name("audit"), Item=item)
        time.sleep(0.03)

    def look() -> None:
        seen.add(both.warehouse("SELECT count(*) FROM invoices.audit")[0]["count"])
        time.sleep(0.1)

    with _meanwhile(write), _meanwhile(look):
        report = both.pull()

    rows = both.warehouse("SELECT document_id, event_id, actor, action FROM invoices.audit")
    keys = [(row["document_id"], row["event_id"]) for row in rows]
    assert len(set(keys)) == len(keys) == report["tables"]["invoices.audit"]
    old = {
        (invoices_items.document_id(n), f"{event:04}")
        for n in range(1, EVENTS // 2 + 1)
        for event in (1, 2)
    }
    assert old <= set(keys)
    assert {key[0].split("-")[0] for key in set(keys) - old} <= {"new", "doc"}
    versions = [(row["actor"], row["action"]) for row in rows if "writer" in row["actor"]]
    assert all(actor.split()[1] == action.split()[1] for actor, action in versions)
    assert seen <= {before, len(rows)}, "a reader saw something between the old and the new state"
    _check_accounts(both, report)


def _check_accounts(both: Both, report: dict[str, Any]) -> None:
    """Four segments; scanned is loaded plus quarantined; the books agree; memory is bounded."""
    run_id = report["run_id"]
    manifest = json.loads(both.text(f"raw/invoices/all/{run_id}/_manifest.json"))
    names = [file["name"] for file in manifest["files"] if file["name"].startswith("audit.")]
    assert {name.split(".")[1] for name in names} == {f"{n}-of-4" for n in range(1, 5)}
    cleaned = json.loads(both.text(f"clean/invoices/all/{run_id}/_report.json"))["tables"]
    for table in cleaned:
        scanned = sum(file["rows"] for file in manifest["files"] if file["name"] in table["files"])
        loaded = report["tables"][f"invoices.{table['table']}"]
        assert scanned == loaded + table["quarantined"]
    assert "0 differences" in both.quarry.ok("reconcile", "--dataset", "invoices")
    peaks = _peaks(both.quarry)
    assert set(peaks) == {"generator", "collector", "processor", "loader"}
    assert max(peaks.values()) < MOST_RESIDENT_KB, peaks


def _peaks(quarry: QuarryCommand) -> dict[str, int]:
    """Return the most memory each service ever held, in kB."""
    peaks: dict[str, int] = {}
    for process in quarry.processes():
        command = " ".join(process.cmdline())
        if "-m services." in command:
            status = Path(f"/proc/{process.pid}/status").read_text()
            (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
            peaks[command.split("services.")[1].split(".")[0]] = int(line.split()[1])
    return peaks

"""ToteSys through the real processes, compared with plain SQL on the source."""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import boto3
import pytest

from contracts import StepRecord
from contracts.packet_record import PacketRecord
from infra.names import LOCAL_REGION, Names
from ops.sources.totesys import source_url
from tests.stack_fixture import QuarryCommand

CHANGED = 500
NAMES = Names("local")
_WAIT_SECONDS = 120

# What each warehouse query must say, in the source's own tables and words.
SAME: dict[str, tuple[str, str]] = {
    "sales": (
        """SELECT o.sales_order_id, o.units_sold, o.unit_price::numeric(10,2), c.currency_code,
                  d.design_name, s.first_name, s.last_name, p.department_name, p.location,
                  x.counterparty_legal_name, a.city, l.postal_code, o.agreed_delivery_date::date,
                  o.agreed_payment_date::date, o.created_at::date, o.created_at::time,
                  o.last_updated::date, o.last_updated::time,
                  extract(isodow FROM o.agreed_payment_date::date)::int
           FROM sales_order o JOIN currency c USING (currency_id) JOIN design d USING (design_id)
           JOIN staff s USING (staff_id) JOIN department p USING (department_id)
           JOIN counterparty x USING (counterparty_id)
           JOIN address a ON a.address_id = x.legal_address_id
           JOIN address l ON l.address_id = o.agreed_delivery_location_id""",
        """SELECT f.sales_order_id, f.units_sold, f.unit_price, c.currency_code,
                  d.design_name, s.first_name, s.last_name, s.department_name, s.location,
                  x.counterparty_legal_name, x.counterparty_legal_city, l.postal_code,
                  f.agreed_delivery_date, f.agreed_payment_date, f.created_date, f.created_time,
                  f.last_updated_date, f.last_updated_time, w.day_of_week
           FROM totesys.fact_sales_order f JOIN totesys.dim_currency c USING (currency_id)
           JOIN totesys.dim_design d USING (design_id)
           JOIN totesys.dim_staff s ON s.staff_id = f.sales_staff_id
           JOIN totesys.dim_counterparty x USING (counterparty_id)
           JOIN totesys.dim_location l ON l.location_id = f.agreed_delivery_location_id
           JOIN totesys.dim_date w ON w.date_id = f.agreed_payment_date""",
    ),
    "purchases": (
        """SELECT o.purchase_order_id, o.item_code, o.item_quantity,
                  o.item_unit_price::numeric(10,2), s.email_address,
                  x.counterparty_legal_name, c.currency_code, l.phone
           FROM purchase_order o JOIN staff s USING (staff_id) JOIN currency c USING (currency_id)
           JOIN counterparty x USING (counterparty_id)
           JOIN address l ON l.address_id = o.agreed_delivery_location_id""",
        """SELECT f.purchase_order_id, f.item_code, f.item_quantity, f.item_unit_price,
                  s.email_address, x.counterparty_legal_name, c.currency_code, l.phone
           FROM totesys.fact_purchase_order f JOIN totesys.dim_staff s USING (staff_id)
           JOIN totesys.dim_currency c USING (currency_id)
           JOIN totesys.dim_counterparty x USING (counterparty_id)
           JOIN totesys.dim_location l ON l.location_id = f.agreed_delivery_location_id""",
    ),
    "payments": (
        """SELECT p.payment_id, p.payment_amount::numeric(18,2), p.paid, p.payment_date::date,
                  k.payment_type_name, t.transaction_type, t.sales_order_id, t.purchase_order_id,
                  c.currency_code
           FROM payment p JOIN payment_type k USING (payment_type_id)
           JOIN transaction t USING (transaction_id) JOIN currency c USING (currency_id)""",
        """SELECT f.payment_id, f.payment_amount, f.paid, f.payment_date,
                  k.payment_type_name, t.transaction_type, t.sales_order_id, t.purchase_order_id,
                  c.currency_code
           FROM totesys.fact_payment f JOIN totesys.dim_payment_type k USING (payment_type_id)
           JOIN totesys.dim_transaction t USING (transaction_id)
           JOIN totesys.dim_currency c USING (currency_id)""",
    ),
}


@dataclass(frozen=True)
class Both:
    """The source and the warehouse of one stack."""

    quarry: QuarryCommand
    url: str

    def source(self, statement: str) -> list[tuple[Any, ...]]:
        return asyncio.run(_rows(source_url(self.url), statement))

    def warehouse(self, statement: str) -> list[tuple[Any, ...]]:
        return asyncio.run(_rows(self.url, statement))

    def client(self, service: str) -> Any:
        exports = self.quarry.ok("env").replace("export ", "").splitlines()
        values = {name: value.strip("'") for name, _, value in (e.partition("=") for e in exports)}
        session = boto3.Session("test", "test", region_name=LOCAL_REGION)
        return session.client(service, endpoint_url=values["AWS_ENDPOINT_URL"])

    def send_to_processor(self, body: object) -> str:
        sqs = self.client("sqs")
        url = sqs.get_queue_url(QueueName=NAMES.queue("processor"))["QueueUrl"]
        return str(sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body))["MessageId"])

    def pull(self) -> dict[str, Any]:
        report: dict[str, Any] = self.quarry.document("send", "--dataset", "totesys", "--wait")
        return report


async def _rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row.values()) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def both(stack: QuarryCommand) -> Both:
    """A stack whose ToteSys was pulled once."""
    stack.ok("demo-source", "totesys")
    exports = stack.ok("env").splitlines()
    (url,) = [line.partition("=")[2] for line in exports if "DATABASE_URL=" in line]
    both = Both(stack, url.strip("'"))
    report = both.pull()
    assert report["quarantined"] == 0, json.dumps(report)
    return both


@pytest.mark.parametrize("name", SAME)
def test_facts_joined_with_their_dimensions_say_what_the_source_says(both: Both, name: str) -> None:
    source, warehouse = SAME[name]
    expected, found = both.source(source), both.warehouse(warehouse)
    assert len(expected) > 100
    assert sorted(map(repr, found)) == sorted(map(repr, expected))


def test_the_calendar_covers_every_day_of_the_facts_without_a_gap(both: Both) -> None:
    ((first, last, days),) = both.warehouse(
        "SELECT min(date_id), max(date_id), count(*) FROM totesys.dim_date"
    )
    ((earliest, latest),) = both.source(
        """SELECT min(day), max(day) FROM (
            SELECT created_at::date FROM sales_order UNION ALL
            SELECT last_updated::date FROM payment UNION ALL
            SELECT created_at::date FROM payment UNION ALL
            SELECT created_at::date FROM purchase_order UNION ALL
            SELECT agreed_delivery_date::date FROM sales_order UNION ALL
            SELECT agreed_payment_date::date FROM sales_order UNION ALL
            SELECT agreed_delivery_date::date FROM purchase_order UNION ALL
            SELECT agreed_payment_date::date FROM purchase_order UNION ALL
            SELECT payment_date::date FROM payment) AS each (day)"""
    )
    assert (first, last) == (earliest, latest)
    assert days == (last - first).days + 1


def test_a_run_with_nothing_new_ends_well_and_loads_nothing(both: Both) -> None:
    report = both.pull()
    assert report["loads"] == {}


def test_changed_orders_become_one_more_version_each(both: Both) -> None:
    orders = len(both.source("SELECT FROM sales_order"))
    changed = min(CHANGED, orders)
    both.quarry.ok("demo-source", "totesys", "--change", str(CHANGED))
    both.pull()
    versions = both.warehouse(
        """SELECT sales_order_id, array_agg(units_sold ORDER BY sales_record_id)
           FROM totesys.fact_sales_order GROUP BY 1 ORDER BY 1"""
    )
    now = dict(both.source("SELECT sales_order_id, units_sold FROM sales_order"))
    assert len(versions) == orders
    expected = {
        key: [now[key] - 1, now[key]] if place < changed else [now[key]]
        for place, key in enumerate(sorted(now))
    }
    assert dict(versions) == expected
    ids = both.warehouse("SELECT sales_record_id FROM totesys.fact_sales_order ORDER BY 1")
    assert [each for (each,) in ids] == list(range(1, orders + changed + 1))


def test_a_department_that_moves_takes_its_staff_along(both: Both) -> None:
    both.source("UPDATE department SET location = 'Hull' WHERE department_id = 2")
    both.pull()
    expected = both.source(
        """SELECT staff_id, department_name, location FROM staff
           JOIN department USING (department_id) ORDER BY 1"""
    )
    found = both.warehouse(
        "SELECT staff_id, department_name, location FROM totesys.dim_staff ORDER BY 1"
    )
    assert found == expected


def test_a_bad_row_is_quarantined_by_name_and_loaded_once_it_is_mended(both: Both) -> None:
    both.source(
        "UPDATE purchase_order SET agreed_payment_date = 'soon' WHERE purchase_order_id = 1"
    )
    report = both.pull()
    assert report["quarantined"] == 1
    assert any("agreed_payment_date is not of type date" in each for each in report["warnings"])
    both.source(
        "UPDATE purchase_order SET agreed_payment_date = '2022-11-09' WHERE purchase_order_id = 1"
    )
    both.pull()
    ((days,),) = both.warehouse(
        """SELECT array_agg(agreed_payment_date::text ORDER BY purchase_record_id)
           FROM totesys.fact_purchase_order WHERE purchase_order_id = 1"""
    )
    assert len(days) == 2
    assert days[-1] == "2022-11-09"


def test_a_bare_request_for_a_packet_on_the_queue_brings_its_rows(both: Both) -> None:
    s3, ssm = both.client("s3"), both.client("ssm")
    # One that somebody works in.
    ((department,),) = both.source("SELECT department_id FROM staff ORDER BY staff_id LIMIT 1")
    counter = ssm.get_parameter(Name=NAMES.parameter("totesys", "packet", "department"))
    last = int(counter["Parameter"]["Value"])
    key = f"packets/totesys/department/{last}.json"
    before = PacketRecord.model_validate_json(
        s3.get_object(Bucket=NAMES.bucket, Key=key)["Body"].read()
    )
    ((row,),) = both.source(
        'SELECT to_jsonb(department) || \'{"location": "Filey"}\' FROM department'  # noqa: S608  # a number of the source
        f" WHERE department_id = {department}"
    )
    data = f"{row}\n".encode()
    packet = before.packet.model_copy(update={"id": last + 1})
    record = before.model_copy(
        update={
            "packet": packet,
            "key": f"raw/totesys/department_{packet.id}/by-hand/department_{packet.id}.jsonl",
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "rows": 1,
        }
    )
    s3.put_object(Bucket=NAMES.bucket, Key=record.key, Body=data)
    s3.put_object(Bucket=NAMES.bucket, Key=record.record_key, Body=record.model_dump_json())

    both.send_to_processor({"packets": [{"table": "department", "id": packet.id}]})

    wait_for(lambda: locations_in(both, department) == {"Filey"})
    # The collector takes the packet for its own, and counts on from it.
    both.source(f"UPDATE department SET location = 'Whitby' WHERE department_id = {department}")  # noqa: S608  # a number of the source
    both.pull()
    assert locations_in(both, department) == {"Whitby"}


def locations_in(both: Both, department: int) -> set[str]:
    """Return where the warehouse thinks the people of a department are."""
    staff = both.source("SELECT staff_id, department_id FROM staff")
    people = {key for key, of in staff if of == department}
    found = both.warehouse("SELECT staff_id, location FROM totesys.dim_staff")
    return {location for key, location in found if key in people}


def test_a_request_that_fails_is_told_by_log_metric_and_table(both: Both) -> None:
    message_id = both.send_to_processor({"packets": [{"table": "staff", "id": 999_999}]})

    wait_for(lambda: told_of(both, message_id))
    (told,) = told_of(both, message_id)
    assert "MissingObject" in told["reason"]
    run_id = told["run_id"]
    wait_for(
        lambda: any(
            line.get("Failures") == [1.0] and line["error"] == "MissingObject"
            for line in processor_log(both)
        )
    )
    assert any(
        line.get("Parked") == [1.0] and line.get("run_id") == run_id for line in processor_log(both)
    )
    (item,) = both.client("dynamodb").query(
        TableName=NAMES.runs_table,
        KeyConditionExpression="run_id = :run",
        ExpressionAttributeValues={":run": {"S": run_id}},
    )["Items"]
    step = StepRecord.model_validate_json(item["body"]["S"])
    assert (step.stage, step.status, step.dataset) == ("processor", "parked", "totesys")
    assert "MissingObject" in (step.reason or "")
    assert step.finished_at is not None
    sqs = both.client("sqs")
    url = sqs.get_queue_url(QueueName=NAMES.dead_letter_queue("processor"))["QueueUrl"]
    (parked,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=parked["ReceiptHandle"])
    assert "999999" in parked["Body"]


def processor_log(both: Both) -> list[dict[str, Any]]:
    texts = [path.read_text() for path in (both.quarry.home / "logs").glob("processor*")]
    # The last line may still be under way.
    lines = "".join(texts).rpartition("\n")[0].splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def told_of(both: Both, message_id: str) -> list[dict[str, Any]]:
    return [
        line
        for line in processor_log(both)
        if line.get("sqs_message_id") == message_id and line["message"] == "message_parked"
    ]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)

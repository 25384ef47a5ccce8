"""Rows of ToteSys as packets in a fake lake, for tests of the star schema."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from contracts import Envelope, FolderComplete, Packet, S3Object
from contracts.packet_record import PacketRecord, Watermark
from tests.fakes import FakeLake

COLLECTED = datetime(2026, 11, 21, 9, tzinfo=UTC)
_STAMP = "2022-11-03T14:20:52.186"
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "address": {"address_line_1": "1 Road", "address_line_2": None, "district": None}
    | {"city": "Leeds", "postal_code": "LS1", "country": "UK", "phone": "01"},
    "counterparty": {"counterparty_legal_name": "O'Hara, Sons", "legal_address_id": 1},
    "currency": {"currency_code": "GBP"},
    "department": {"department_name": "Sales", "location": "Leeds", "manager": "M"},
    "design": {"design_name": "Bag", "file_location": "/usr", "file_name": "bag.json"},
    "staff": {"first_name": "A", "last_name": "B", "department_id": 1, "email_address": "a@b"},
    "payment_type": {"payment_type_name": "SALES_RECEIPT"},
    "transaction": {"transaction_type": "SALE", "sales_order_id": 1, "purchase_order_id": None},
    "sales_order": {"design_id": 1, "staff_id": 1, "counterparty_id": 1, "units_sold": 10}
    | {"unit_price": 3.94, "currency_id": 1, "agreed_delivery_location_id": 1}
    | {"agreed_delivery_date": "2022-11-07", "agreed_payment_date": "2022-11-08"},
    "payment": {"transaction_id": 1, "counterparty_id": 1, "payment_amount": 100.25}
    | {"currency_id": 1, "payment_type_id": 1, "paid": False, "payment_date": "2022-11-04"}
    | {"company_ac_number": 1, "counterparty_ac_number": 2},
}
DIMENSIONS = tuple(table for table in _DEFAULTS if table not in {"sales_order", "payment"})


def row(table: str, key: int = 1, **changed: Any) -> str:
    """One JSON line of a table, as the source would write it."""
    columns = {f"{table}_id": key, **_DEFAULTS[table], "created_at": _STAMP, "last_updated": _STAMP}
    return json.dumps({**columns, **changed})


async def put_packet(lake: FakeLake, table: str, packet_id: int, lines: Sequence[str]) -> Packet:
    """Store a packet and its record, as the collector does."""
    packet = Packet(table=table, id=packet_id)
    data = "".join(line + "\n" for line in lines).encode()
    record = PacketRecord(
        dataset="totesys",
        packet=packet,
        run_id="run-1",
        key=f"raw/totesys/{table}_{packet_id}/run-1/{table}_{packet_id}_t.jsonl",
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        rows=max(1, len(lines)),
        collected_at=COLLECTED,
        manifest_key="raw/totesys/all/run-1/_manifest.json",
        watermark=Watermark(database_oid=1, oldest_running=10),
    )
    await lake.put(record.key, data)
    await lake.put(record.record_key, record.model_dump_json().encode())
    return packet


async def put_dimensions(lake: FakeLake, *, without: tuple[str, ...] = ()) -> list[Packet]:
    """Store packet 1 of every table of dimensions, one row each."""
    return [
        await put_packet(lake, table, 1, [row(table)])
        for table in DIMENSIONS
        if table not in without
    ]


def event(*packets: Packet, run_id: str = "run-1") -> Envelope[FolderComplete]:
    """The event that announces packets."""
    payload = FolderComplete(
        dataset="totesys",
        prefix="raw/totesys/all/run-1/",
        manifest=S3Object(bucket="lake", key="m", bytes=1, sha256="0" * 64),
        files=len(packets),
        bytes=1,
        collected_at=COLLECTED,
        packets=packets,
    )
    return Envelope[FolderComplete].wrap(payload, run_id=run_id, trace=None, sent_at=COLLECTED)

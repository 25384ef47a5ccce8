"""Items for the four invoice tables: made up by seed, and the published ones where they are."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

Item = dict[str, Any]
"""Attributes as DynamoDB's own interface has them, such as `{"paid": {"BOOL": True}}`."""

TEMPLATES = 12
_START = datetime(2024, 1, 8, 9, tzinfo=UTC)
_CITIES = ("Leeds", "Łódź", "São Paulo", "東京")
_STATUSES = ("draft", "sent", "settled", "disputed")
_CURRENCIES = ("GBP", "EUR", "USD")
_ACTORS = ("o'hara", "smith, j.", "batch")


def documents(count: int, seed: int = 1) -> Iterator[Item]:
    """Make invoices; some attributes are missing or null where the builder allows it."""
    random = Random(seed)  # noqa: S311  # made-up items, not secrets
    for n in range(1, count + 1):
        received = _START + timedelta(minutes=n)
        net = Decimal(random.randint(100, 10_000_000)) / 100
        address = {"city": _text(random.choice(_CITIES)), "postcode": _text(f"LS{n % 30} 1AA")}
        item: Item = {
            "document_id": _text(document_id(n)),
            "case_number": _text(f"C-{n // 3:06}"),
            "status": _text(random.choice(_STATUSES)),
            "customer": {"M": {"name": _text(f"Customer {n % 500}"), "address": {"M": address}}},
            "amount": {
                "M": {
                    "currency": _text(random.choice(_CURRENCIES)),
                    "net": _number(net),
                    "tax": _number(net * Decimal("0.1975")),
                }
            },
            "paid": {"BOOL": n % 3 == 0},
            "lines": {"L": [_line(random) for _ in range(n % 4)]},
            "issued_on": _text(f"{received:%Y-%m-%d}"),
            "received_at": _text(received.isoformat().replace("+00:00", "Z")),
            "ttl": _number(Decimal(int(received.timestamp()) + 86_400)),
        }
        if n % 2:
            item["tags"] = {"SS": [f"tag-{tag}" for tag in random.sample(range(20), 3)]}
            item["tax_rates"] = {"NS": ["0.1975", "0.05"]}
        if n % 5 == 0:
            item["customer"]["M"]["address"] = {"NULL": True}
        yield item


def metadata(count: int, seed: int = 2) -> Iterator[Item]:
    """Make one or two versions of each document's metadata."""
    random = Random(seed)  # noqa: S311  # made-up items, not secrets
    for n in range(1, count + 1):
        for version in range(1, 2 + n % 2):
            yield {
                "document_id": _text(document_id(n)),
                "version": _number(Decimal(version)),
                "content_type": _text("application/pdf"),
                "pages": _number(Decimal(random.randint(1, 40))),
                "size_bytes": _number(Decimal(random.randint(10_000, 9_000_000_000))),
                "checksum": {"B": hashlib.sha256(f"{n}/{version}".encode()).digest()},
                "attributes": {"M": {"scanner": {"M": {"dpi": _number(Decimal(300))}}}},
                "updated_at": _text(f"{_START + timedelta(hours=n):%Y-%m-%dT%H:%M:%S.%f}+00:00"),
            }


def templates() -> Iterator[Item]:
    """Make the few templates."""
    for n in range(1, TEMPLATES + 1):
        yield {
            "template_id": _text(f"template-{n:03}"),
            "name": _text(f"Template {n}"),
            "language": _text(("en", "de", "ja")[n % 3]),
            "active": {"BOOL": n % 4 != 0},
            "fields": {"L": [_text("customer"), _text("amount")]},
            "scale": _number(Decimal(1) / Decimal(8**n) if n < 6 else Decimal(n)),  # noqa: PLR2004  # exact in 20 places
            "layout": {"M": {"columns": {"L": [_number(Decimal(12)), {"NULL": True}]}}},
            "created_on": _text(f"2023-{n:02}-28"),
        }


def audit(count: int, seed: int = 3) -> Iterator[Item]:
    """Make two events for each document."""
    random = Random(seed)  # noqa: S311  # made-up items, not secrets
    for n in range(1, count + 1):
        for event, action in enumerate(("created", "changed"), 1):
            item = {
                "document_id": _text(document_id(n)),
                "event_id": _text(f"{event:04}"),
                "at": _text((_START + timedelta(minutes=n, seconds=event)).isoformat()),
                "actor": _text(random.choice(_ACTORS)),
                "action": _text(action),
            }
            if action == "changed":
                item["changes"] = {"M": {"status": {"L": [_text("draft"), _text("sent")]}}}
                item["amount"] = _number(Decimal(random.randint(-999_999, 999_999)) / 10_000)
            yield item


def published_metadata(folder: Path) -> Iterator[Item]:
    """Take published items of any shape over as attributes of metadata, one document each."""
    texts = [path.read_text() for path in sorted(folder.glob("*.json"))]
    texts += [line for path in sorted(folder.glob("*.jsonl")) for line in path.open()]
    for n, text in enumerate(texts, 1):
        yield {
            "document_id": _text(f"published-{n:03}"),
            "version": _number(Decimal(1)),
            "attributes": {"M": {k: _storable(v) for k, v in json.loads(text)["Item"].items()}},
            "updated_at": _text(_START.isoformat()),
        }


def document_id(n: int) -> str:
    """Return the key of the `n`th made-up document."""
    return f"doc-{n:07}"


def _line(random: Random) -> Item:
    price = Decimal(random.randint(1, 100_000)) / 1000
    sku, quantity = _text(f"SKU-{random.randint(1, 99):02}"), Decimal(random.randint(1, 9))
    return {"M": {"sku": sku, "quantity": _number(quantity), "price": _number(price)}}


def _text(text: str) -> Item:
    return {"S": text}


def _number(number: Decimal) -> Item:
    return {"N": format(number, "f")}


def _storable(attribute: Mapping[str, Any]) -> Item:
    """Return a written attribute as DynamoDB takes it: base64 as bytes, no value twice in a set."""
    ((kind, held),) = attribute.items()
    match kind:
        case "B":
            held = base64.b64decode(held)
        case "BS":
            held = [base64.b64decode(each) for each in dict.fromkeys(held)]
        case "NS":
            held = list({Decimal(each): each for each in held}.values())
        case "SS":
            held = list(dict.fromkeys(held))
        case "M":
            held = {name: _storable(inner) for name, inner in held.items()}
        case "L":
            held = [_storable(inner) for inner in held]
    return {kind: held}

"""Every way a body can be wrong that SQS lets through, made from one that is right."""

import json
from typing import Any

MIB = 1024 * 1024


def malformed(good: str) -> dict[str, str]:
    """Return bodies by what is wrong with them; no reader may accept any."""
    document = json.loads(good)
    payload = document["payload"]

    def with_payload(**changes: Any) -> str:
        return json.dumps(document | {"payload": payload | changes})

    return {
        "blank": "   \n",
        "text": "please collect 2013Q1",
        "truncated in the middle": good[: len(good) // 2],
        "truncated at the end": good[:-1],
        "two documents": good + good,
        "byte order mark": f"\ufeff{good}",
        "list": "[]",
        "text in quotes": json.dumps(good),
        "number": "42",
        "null": "null",
        "no type": json.dumps({k: v for k, v in document.items() if k != "type"}),
        "another type": json.dumps(document | {"type": "LoadComplete2"}),
        "a type that is a list": json.dumps(document | {"type": [document["type"]]}),
        "a type of 200,000 characters": json.dumps(document | {"type": "x" * 200_000}),
        "version of the future": json.dumps(document | {"version": 99}),
        "version zero": json.dumps(document | {"version": 0}),
        "version as text": json.dumps(document | {"version": "one"}),
        "version beyond all numbers": good.replace('"version":', '"version":1e400,"was":'),
        "version that is no number": good.replace('"version":', '"version":NaN,"was":'),
        "number of 5,000 digits": good.replace('"version":', f'"version":{"9" * 5000},"was":'),
        "payload missing a field": json.dumps(document | {"payload": {}}),
        "payload is null": json.dumps(document | {"payload": None}),
        "payload is a list": json.dumps(document | {"payload": [payload]}),
        "payload is text": json.dumps(document | {"payload": json.dumps(payload)}),
        "dataset is a number": with_payload(dataset=7),
        "dataset leads out of its folder": with_payload(dataset="../../etc"),
        "dataset with a NUL": with_payload(dataset="call\0reports"),
        "half a surrogate, escaped": good.replace("call_reports", "call\\ud800reports"),
        "bytes that were not UTF-8": good.replace("call_reports", "call\ufffdreports"),
        "no run id": json.dumps({k: v for k, v in document.items() if k != "run_id"}),
        "run id that leads elsewhere": json.dumps(document | {"run_id": "../other"}),
        "moment without a zone": json.dumps(document | {"sent_at": "2026-11-21T09:00:00"}),
        "nested 100,000 deep": "[" * 100_000,
        "nested 2,000 deep in a field nobody knows": nested(good, 2_000),
        "nearly 1 MiB of text": "x" * (MIB - 8_000),
        "nearly 1 MiB of JSON": json.dumps("x" * (MIB - 8_002)),
    }


def full_to_the_last_byte(good: str) -> dict[str, str]:
    """Return malformed bodies that leave no room for anything beside them in a message."""
    return {
        "1 MiB of text": "x" * MIB,
        "1 MiB of characters of four bytes": "😀" * (MIB // 4),
        "1 MiB that begins well": good[:-1] + "x" * (MIB - len(good) + 1),
    }


def odd_but_right(good: str) -> dict[str, str]:
    """Return bodies that look strange and say the same as `good`."""
    document = json.loads(good)
    payload = document["payload"]
    extra = {"added_later": {"deep": [1, None, {"x": "y"}]}, "more": "漢😀"}
    return {
        "fields of the future": json.dumps(document | extra | {"payload": payload | extra}),
        "another order and much space": json.dumps(dict(reversed(document.items())), indent=8),
        "a huge number nobody reads": json.dumps(document | {"added_later": 10**4000}),
        "900,000 bytes nobody reads": json.dumps(document | {"added_later": "x" * 900_000}),
        "characters escaped": json.dumps(document, ensure_ascii=True),
        "nothing where a field is optional": json.dumps(document | {"trace": None}),
    }


def nested(good: str, depth: int) -> str:
    return f'{good[:-1]},"added_later":{"[" * depth}{"]" * depth}}}'

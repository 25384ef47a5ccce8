"""Every message shape ever released is still read, and the files that stand for them only grow."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from contracts.compat import Release, check
from contracts.export import published_schemas
from contracts.reading import read

EXAMPLES = Path(__file__).parents[2] / "contracts" / "examples"
GOLDEN = {path.name: path.read_text() for path in sorted(EXAMPLES.glob("*.json"))}
SCHEMAS = published_schemas()
QUARTER = "CollectFolder.v1.quarter.json"


def schema_of(name: str) -> str:
    return ".".join(name.split(".")[:2])


def release(golden: dict[str, str]) -> Release:
    return Release(SCHEMAS, lambda bodies: [read(*body) for body in bodies], golden)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_released_message_is_read_today(name: str) -> None:
    reading = read(name.split(".", maxsplit=1)[0], GOLDEN[name])
    assert reading.refused is None


@pytest.mark.parametrize("name", GOLDEN)
def test_a_released_message_follows_the_schema_of_its_version(name: str) -> None:
    schema, document = SCHEMAS[schema_of(name)], json.loads(GOLDEN[name])
    if "payload" in schema["properties"] and "payload" not in document:
        reference = schema["properties"]["payload"]["$ref"]
        schema = {"$ref": reference, "$defs": schema["$defs"]}
    Draft202012Validator(schema).validate(document)


def test_every_published_version_has_a_released_message() -> None:
    assert {schema_of(name) for name in GOLDEN} == set(SCHEMAS)


@pytest.mark.parametrize("name", GOLDEN)
def test_nothing_a_released_message_says_is_lost(name: str) -> None:
    document = json.loads(GOLDEN[name])
    fields = read(name.split(".", maxsplit=1)[0], GOLDEN[name]).fields
    assert fields is not None
    said = document.get("payload", document)
    understood = fields.get("payload", fields)
    # The last day of a period is no field since LoadTable version 2; it follows from the period.
    assert {key for key in said if key not in understood} <= {"period_end"}


def test_an_edited_message_is_refused() -> None:
    before = {f"contracts/examples/{QUARTER}": GOLDEN[QUARTER]}
    edited = {name: text.replace("2013Q1", "2013Q2") for name, text in before.items()}
    (finding,) = check(release(before), release(edited))
    assert finding.verdict == "breaks"
    assert "CollectFolder.v1.quarter.json was edited" in finding.sentence


def test_a_removed_message_is_refused() -> None:
    before = {f"contracts/examples/{QUARTER}": GOLDEN[QUARTER]}
    (finding,) = check(release(before), release({}))
    assert finding.verdict == "breaks"
    assert "was removed or renamed" in finding.sentence


def test_a_released_message_that_is_no_longer_read_is_refused() -> None:
    unreadable = GOLDEN[QUARTER].replace("CollectFolder", "Collect")
    golden = {f"contracts/examples/{QUARTER}": unreadable}
    (finding,) = check(release(golden), release(golden))
    assert finding.verdict == "breaks"
    assert "is refused by today's reader" in finding.sentence


def test_more_messages_are_welcome() -> None:
    assert check(release({}), release(GOLDEN)) == []

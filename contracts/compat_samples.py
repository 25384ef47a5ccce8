"""Messages made from a schema, leaning towards its edges; a seed gives the same ones. Pure."""

import re
import string
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from contracts.compat_structure import JsonSchema, alternatives, inlined

_TEXT = string.ascii_letters + string.digits + " _-./:'\"\\\t\n%$äß漢😀"
_LONGEST_TEXT = 40
_MOST_ITEMS = 3
_LARGE = 2**53
_MUTATIONS = 12
_DAYS = (date(2100, 1, 1) - date(1990, 1, 1)).days


def samples(schema: JsonSchema, random: Random) -> Iterator[Any]:
    """Yield documents that follow `schema`, without end.

    Raises:
        ValueError: the schema uses something that is not known here, such as a pattern without
            an example to start from.
    """
    whole = inlined(schema)
    while True:
        yield _value(whole, random)


def _value(schema: JsonSchema, random: Random) -> Any:
    choice = random.choice(alternatives(schema))
    if "const" in choice:
        return choice["const"]
    if "enum" in choice:
        return random.choice(choice["enum"])
    kind = choice.get("type")
    if kind not in _MAKERS:
        raise ValueError(f"no samples are known for {choice}")
    return _MAKERS[kind](choice, random)


def _object(schema: JsonSchema, random: Random) -> dict[str, Any]:
    required = set(schema.get("required", []))
    made = {
        name: _value(field, random)
        for name, field in schema.get("properties", {}).items()
        if name in required or random.random() < 0.5  # noqa: PLR2004  # with and without, equally often
    }
    entries = schema.get("additionalProperties")
    if isinstance(entries, dict):
        for _ in range(random.randint(0, _MOST_ITEMS)):
            made[_characters(random, 1, 8)] = _value(entries, random)
    return made


def _array(schema: JsonSchema, random: Random) -> list[Any]:
    if "prefixItems" in schema:
        return [_value(item, random) for item in schema["prefixItems"]]
    least = schema.get("minItems", 0)
    most = schema.get("maxItems", least + _MOST_ITEMS)
    return [_value(schema["items"], random) for _ in range(random.randint(least, most))]


def _integer(schema: JsonSchema, random: Random) -> int:
    least, most = _bounds(schema, 1)
    edges = [least, most, *(edge for edge in (0, 1, 2013, 2**31) if least <= edge <= most)]
    return int(random.choice([*edges, random.randint(int(least), int(most))]))


def _number(schema: JsonSchema, random: Random) -> float:
    least, most = _bounds(schema, 1e-6)
    return random.choice([least, most, random.uniform(least, most)])


def _bounds(schema: JsonSchema, step: float) -> tuple[float, float]:
    least = schema.get("minimum", -_LARGE)
    most = schema.get("maximum", _LARGE)
    if "exclusiveMinimum" in schema:
        least = schema["exclusiveMinimum"] + step
    if "exclusiveMaximum" in schema:
        most = schema["exclusiveMaximum"] - step
    return least, most


def _string(schema: JsonSchema, random: Random) -> str:
    if "format" in schema:
        return _FORMATS[schema["format"]](random)
    least = schema.get("minLength", 0)
    most = schema.get("maxLength", least + _LONGEST_TEXT)
    if "pattern" in schema:
        return _matching(schema, random, least, schema.get("maxLength"))
    return _characters(random, least, most)


def _matching(schema: JsonSchema, random: Random, least: int, most: int | None) -> str:
    """Change a known example step by step, keeping what still matches, up to the edges."""
    pattern = re.compile(schema["pattern"])
    if not schema.get("examples"):
        raise ValueError(f"give the pattern {schema['pattern']} an example in contracts/")

    def fits(text: str) -> bool:
        # As a schema means it: `$` is the end, not "before a last line feed".
        long_enough = least <= len(text) and (most is None or len(text) <= most)
        return long_enough and not text.endswith("\n") and bool(pattern.search(text))

    text: str = random.choice(schema["examples"])
    for _ in range(random.randint(0, _MUTATIONS)):
        changed = _mutated(text, random)
        text = changed if fits(changed) else text
    if random.random() < 0.3:  # noqa: PLR2004  # often enough to meet both edges of a length
        text = _stretched(text, random, fits)
    return text


def _mutated(text: str, random: Random) -> str:
    position = random.randrange(len(text) + 1)
    character = random.choice(string.ascii_letters + string.digits + "_-.")
    kept = position + random.randint(0, 1)
    return text[:position] + random.choice([character, ""]) + text[kept:]


def _stretched(text: str, random: Random, fits: Callable[[str], bool]) -> str:
    position = random.randrange(len(text) + 1)
    grow = random.random() < 0.5  # noqa: PLR2004  # longest and shortest, equally often
    for _ in range(_LONGEST_TEXT * 2):
        longer = text[:position] + (text[position - 1 : position] or "a") + text[position:]
        changed = longer if grow else text[:-1]
        if not fits(changed):
            break
        text = changed
    return text


def _characters(random: Random, least: int, most: int) -> str:
    return "".join(random.choices(_TEXT, k=random.randint(least, most)))


def _day(random: Random) -> date:
    return date(1990, 1, 1) + timedelta(days=random.randrange(_DAYS))


def _moment(random: Random) -> str:
    day = _day(random)
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    moment += timedelta(microseconds=random.randrange(86_400_000_000))
    return moment.isoformat().replace("+00:00", random.choice(["Z", "+00:00", "-05:00"]))


_MAKERS: dict[str, Callable[[JsonSchema, Random], Any]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": lambda _, random: random.random() < 0.5,  # noqa: PLR2004  # true and false, equally often
    "null": lambda _, __: None,
}
_FORMATS: dict[str, Callable[[Random], str]] = {
    "uuid": lambda random: str(UUID(int=random.getrandbits(128))),
    "date": lambda random: _day(random).isoformat(),
    "date-time": _moment,
}

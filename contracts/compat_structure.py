"""What changed between two JSON Schemas, field by field, and what each change means. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

JsonSchema = dict[str, Any]

# old_refused: the new reader refuses something the old schema allows.
# new_refused: the old reader refuses something the new schema allows.
# misread: both accept the message, and it means something else than it did.
# undecided: structure cannot tell; generated messages have to.
Effect = Literal["old_refused", "new_refused", "misread", "undecided"]

_DOCUMENTATION = frozenset(
    {"title", "description", "examples", "$id", "$schema", "$defs", "deprecated", "default"}
)
_LOWER_BOUNDS = {"minimum": "minimum", "exclusiveMinimum": "exclusive minimum"} | {
    "minLength": "least length",
    "minItems": "least number of items",
    "minProperties": "least number of entries",
}
_UPPER_BOUNDS = {"maximum": "maximum", "exclusiveMaximum": "exclusive maximum"} | {
    "maxLength": "greatest length",
    "maxItems": "greatest number of items",
    "maxProperties": "greatest number of entries",
}
_COMPARED = frozenset(
    {"type", "anyOf", "properties", "required", "items", "additionalProperties", "enum", "const"}
)


@dataclass(frozen=True)
class Difference:
    """One change at `path` (`payload.period`); `what` continues the sentence "payload.period …"."""

    path: str
    what: str
    effect: Effect


def differences(old: JsonSchema, new: JsonSchema) -> list[Difference]:
    """Compare two schemas as published; both hold their own `$defs`."""
    return list(_compare(inlined(old), inlined(new), ""))


def inlined(schema: JsonSchema) -> JsonSchema:
    """Return the schema with every `$ref` replaced by what it names.

    Raises:
        RecursionError: a definition contains itself.
    """
    definitions = schema.get("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, list):
            return [resolve(item) for item in node]
        if not isinstance(node, dict):
            return node
        target = definitions.get(str(node.get("$ref", "")).removeprefix("#/$defs/"), {})
        beside = {key: value for key, value in node.items() if key not in {"$ref", "$defs"}}
        return {key: resolve(value) for key, value in (target | beside).items()}

    resolved: JsonSchema = resolve(schema)
    return resolved


def alternatives(schema: JsonSchema) -> list[JsonSchema]:
    """Return the choices of a field: `integer or null` has two, most have one."""
    return [choice for option in schema.get("anyOf", [schema]) for choice in _by_type(option)]


def _by_type(schema: JsonSchema) -> list[JsonSchema]:
    kinds = schema.get("type")
    return [schema | {"type": kind} for kind in kinds] if isinstance(kinds, list) else [schema]


def _compare(old: JsonSchema, new: JsonSchema, path: str) -> Iterator[Difference]:
    yield from _compare_default(old, new, path)
    unmatched = list(alternatives(new))
    for choice in alternatives(old):
        partner = next((other for other in unmatched if _same_kind(choice, other)), None)
        if partner is None:
            yield Difference(path, f"no longer takes {_named(choice)}", "old_refused")
            continue
        unmatched.remove(partner)
        yield from _compare_choice(choice, partner, path)
    for choice in unmatched:
        yield Difference(path, f"now also takes {_named(choice)}", "new_refused")


def _same_kind(old: JsonSchema, new: JsonSchema) -> bool:
    numbers = {"integer", "number"}
    return old.get("type") == new.get("type") or {old.get("type"), new.get("type")} == numbers


def _named(choice: JsonSchema) -> str:
    return "any value" if "type" not in choice else f"a value of type {choice['type']}"


def _compare_default(old: JsonSchema, new: JsonSchema, path: str) -> Iterator[Difference]:
    if "default" in old and "default" in new and old["default"] != new["default"]:
        yield Difference(
            path,
            f"means {new['default']!r} instead of {old['default']!r} when it is left out",
            "misread",
        )


def _compare_choice(old: JsonSchema, new: JsonSchema, path: str) -> Iterator[Difference]:
    if (old.get("type"), new.get("type")) == ("number", "integer"):
        yield Difference(path, "takes whole numbers only, it took fractions", "old_refused")
    if (old.get("type"), new.get("type")) == ("integer", "number"):
        yield Difference(path, "takes fractions, it took whole numbers only", "new_refused")
    yield from _compare_values(old, new, path)
    yield from _compare_bounds(old, new, path)
    yield from _compare_items(old, new, path)
    yield from _compare_fields(old, new, path)
    yield from _compare_open_end(old, new, path)
    known = _DOCUMENTATION | _COMPARED | _LOWER_BOUNDS.keys() | _UPPER_BOUNDS.keys()
    for keyword in sorted((old.keys() | new.keys()) - known):
        before, after = old.get(keyword), new.get(keyword)
        if before != after:
            what = f"has the {keyword} {after!r}, it had {before!r}"
            yield Difference(path, what, "undecided")


def _compare_values(old: JsonSchema, new: JsonSchema, path: str) -> Iterator[Difference]:
    before, after = _values(old), _values(new)
    if before is None and after is None:
        return
    if before is None or after is None:
        closed = before is None
        what = f"takes only {after} now" if closed else f"takes more than {before} now"
        yield Difference(path, what, "old_refused" if closed else "new_refused")
        return
    for value in before:
        if value not in after:
            yield Difference(path, f"no longer takes {value!r}", "old_refused")
    for value in after:
        if value not in before:
            yield Difference(path, f"now also takes {value!r}", "new_refused")


def _values(schema: JsonSchema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _compare_bounds(old: JsonSchema, new: JsonSchema, path: str) -> Iterator[Difference]:
    yield from _compare_bound(old, new, path, _LOWER_BOUNDS, lambda before, after: after > before)
    yield from _compare_bound(old, new, path, _UPPER_BOUNDS, lambda before, after: after < before)


def _compare_bound(
    old: JsonSchema,
    new: JsonSchema,
    path: str,
    names: dict[str, str],
    tightened: Callable[[float, float], bool],
) -> Iterator[Difference]:
    for keyword, name in names.items():
        before, after = old.get(keyword), new.get(keyword)
        if before == after:
            continue
        what = f"has the {name} {_or_none(after)}, it had {_or_none(before)}"
        narrower = before is None or (after is not None and tightened(before, after))
        yield Difference(path, what, "old_refused" if narrower else "new_refused")


def _or_none(bound: float | None) -> str:
    return "none" if bound is None else str(bound)


def _compare_items(old: JsonSchema, new: JsonSchema, path: str) -> Iterator[Difference]:
    if "items" in old or "items" in new:
        yield from _compare(old.get("items", {}), new.get("items", {}), f"{path}[]")


def _compare_fields(old: JsonSchema, new: JsonSchema, path: str) -> Iterator[Difference]:
    before, after = old.get("properties", {}), new.get("properties", {})
    needed_before, needed_after = set(old.get("required", [])), set(new.get("required", []))
    for name in before:
        place = f"{path}.{name}".lstrip(".")
        if name not in after:
            yield Difference(place, "is gone: what messages say in it is dropped", "misread")
            if name in needed_before:
                what = "is gone, and a reader of before insists on it"
                yield Difference(place, what, "new_refused")
            continue
        if name in needed_after - needed_before:
            yield Difference(place, "is now required", "old_refused")
        if name in needed_before - needed_after:
            yield Difference(place, "may now be left out", "new_refused")
        yield from _compare(before[name], after[name], place)
    for name in after:
        if name not in before and name in needed_after:
            place = f"{path}.{name}".lstrip(".")
            yield Difference(place, "is new and required", "old_refused")


def _compare_open_end(old: JsonSchema, new: JsonSchema, path: str) -> Iterator[Difference]:
    before = old.get("additionalProperties", True)
    after = new.get("additionalProperties", True)
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _compare(before, after, f"{path}.*")
    elif after is False and before is not False:
        what = "refuses fields it does not know, so that no field can ever be added"
        yield Difference(path or "the body", what, "old_refused")
    elif before is False and after is not False:
        what = "may carry fields that a reader of before refuses"
        yield Difference(path or "the body", what, "new_refused")
    elif before != after:
        yield Difference(path or "the body", "describes its entries differently", "undecided")

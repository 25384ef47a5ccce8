"""Whether a change of the contracts would break a reader or a stored message, in words. Pure."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import Any, Literal

from contracts.channels import CHANNELS, STORED_DOCUMENTS
from contracts.compat_samples import samples
from contracts.compat_structure import Difference, Effect, JsonSchema, differences
from contracts.reading import Reading

# breaks: must not land. reader_first: fine when the reader is deployed before the senders.
# note: worth a look, nothing is refused.
Verdict = Literal["breaks", "reader_first", "note"]
_SAMPLES = 300
_SHOWN_CHARACTERS = 300


@dataclass(frozen=True)
class Release:
    """The contracts at one moment: published schemas by `{type}.v{n}`, golden messages by path.

    `read` is the code of that moment: it takes pairs of type name and body.
    """

    schemas: Mapping[str, JsonSchema]
    read: Callable[[Sequence[tuple[str, str]]], list[Reading]]
    golden: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One sentence about one schema or golden message."""

    subject: str
    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class _Parties:
    reader: str
    senders: str
    stored: str
    open_ended: bool


def check(old: Release, new: Release) -> list[Finding]:
    """Compare two releases in both directions; breaking findings first."""
    found = [*_golden_kept(old, new), *_golden_read(old, new)]
    for name, schema in old.schemas.items():
        if name in new.schemas:
            found += _compare(name, schema, new.schemas[name], old, new)
        else:
            found.append(_gone(name, schema, old, new))
    found += _added(old, new)
    return sorted(found, key=lambda finding: finding.verdict != "breaks")


def _compare(
    name: str, before: JsonSchema, after: JsonSchema, old: Release, new: Release
) -> Iterator[Finding]:
    changed = differences(before, after)
    decided = {difference.effect for difference in changed}
    for difference in changed:
        if difference.effect != "undecided":
            yield _judged(name, difference)
    met: list[Finding] = []
    directions: tuple[tuple[Effect, JsonSchema, Release, Release], ...] = (
        ("old_refused", before, old, new),
        ("new_refused", after, new, old),
    )
    for effect, schema, writer, reader in directions:
        met += [
            _judged(name, difference)
            for difference in _met_by_samples(name, schema, writer, reader, effect)
            if difference.effect not in decided
        ]
    yield from met
    if not met:
        for difference in changed:
            if difference.effect == "undecided":
                tried = f"{_SAMPLES} messages of each side were understood alike by the other."
                yield Finding(
                    name, "note", f"{_place(name, difference)} {difference.what}; {tried}"
                )


def _met_by_samples(
    name: str, schema: JsonSchema, writer: Release, reader: Release, effect: Effect
) -> Iterator[Difference]:
    """Yield at most one refusal and one misreading that generated messages met."""
    type_name = _type_of(name)
    random = Random(name)  # noqa: S311  # the same messages on every machine
    bodies = [
        (type_name, json.dumps(document, ensure_ascii=False))
        for document in islice(samples(schema, random), _SAMPLES)
    ]
    written = [
        (body, reading)
        for body, reading in zip(bodies, writer.read(bodies), strict=True)
        if reading.refused is None
    ]
    readings = reader.read([body for body, _ in written])
    answers = [(body, mine, its) for (body, mine), its in zip(written, readings, strict=True)]
    shortest = sorted(answers, key=lambda answer: len(answer[0][1]))
    for (_, body), _, its in shortest:
        if its.refused:
            what = f"is refused ({its.refused}) in a message like {_shown(body)}"
            yield Difference("a value", what, effect)
            break
    for (_, body), mine, its in shortest:
        other = _understood_otherwise(mine, its)
        if other:
            yield Difference(other, f"is understood differently in {_shown(body)}", "misread")
            break


def _understood_otherwise(mine: Reading, its: Reading) -> str | None:
    # Another version has other fields; what they mean is the upcaster's own test.
    if mine.fields is None or its.fields is None or mine.version != its.version:
        return None
    return _first_unequal(mine.fields, its.fields, "")


def _first_unequal(mine: Any, its: Any, path: str) -> str | None:
    if isinstance(mine, dict) and isinstance(its, dict):
        for name in mine.keys() & its.keys():
            found = _first_unequal(mine[name], its[name], f"{path}.{name}".lstrip("."))
            if found:
                return found
        return None
    if isinstance(mine, list) and isinstance(its, list) and len(mine) == len(its):
        pairs = enumerate(zip(mine, its, strict=True))
        unequal = (_first_unequal(one, other, f"{path}[{n}]") for n, (one, other) in pairs)
        return next((found for found in unequal if found), None)
    return None if mine == its else path


def _judged(name: str, difference: Difference) -> Finding:
    parties = _parties(name)
    start = f"{_place(name, difference)} {difference.what}."
    advice = _advice(name)
    if difference.effect == "old_refused":
        refused = f"The {parties.reader} would refuse messages written before ({parties.stored})."
        return Finding(name, "breaks", f"{start} {refused} {advice}")
    if difference.effect == "misread":
        misread = f"The {parties.reader} would misunderstand messages written before"
        return Finding(name, "breaks", f"{start} {misread} ({parties.stored}). {advice}")
    if parties.open_ended:
        refused = f"A {parties.reader} of the old version refuses what the {parties.senders} sends"
        reason = "nobody can see to it that all of them are deployed first"
        return Finding(name, "breaks", f"{start} {refused}, and {reason}. {advice}")
    first = f"Deploy the {parties.reader} before the {parties.senders}"
    reason = f"a {parties.reader} still running the old version refuses such messages"
    return Finding(name, "reader_first", f"{start} {first}: {reason}.")


def _gone(name: str, schema: JsonSchema, old: Release, new: Release) -> Finding:
    parties = _parties(name)
    heirs = [
        other
        for other in new.schemas.keys() - old.schemas.keys()
        if _payload(new.schemas[other]).keys() == _payload(schema).keys()
    ]
    renamed = f" (renamed to {heirs[0]}?)" if heirs else ""
    return Finding(
        name,
        "breaks",
        f"{_spoken(name)} is gone{renamed}. Messages written before ({parties.stored}) would have "
        "no reader. Keep the version, and bring it up to the new one with an upcaster.",
    )


def _payload(schema: JsonSchema) -> dict[str, Any]:
    reference = schema["properties"].get("payload", {}).get("$ref", "")
    payload: JsonSchema = schema.get("$defs", {}).get(reference.removeprefix("#/$defs/"), schema)
    fields: dict[str, Any] = payload["properties"]
    return fields


def _added(old: Release, new: Release) -> Iterator[Finding]:
    known = {_type_of(name) for name in old.schemas}
    for name in new.schemas.keys() - old.schemas.keys():
        parties = _parties(name)
        if _type_of(name) in known:
            first = f"Deploy the {parties.reader} before the {parties.senders} that sends it."
            yield Finding(name, "reader_first", f"{_spoken(name)} is new. {first}")


def _golden_kept(old: Release, new: Release) -> Iterator[Finding]:
    for path, text in old.golden.items():
        if new.golden.get(path) != text:
            changed = "was edited" if path in new.golden else "was removed or renamed"
            sentence = f"{path} {changed}. It stands for messages that exist; add another file."
            yield Finding(path, "breaks", sentence)


def _golden_read(old: Release, new: Release) -> Iterator[Finding]:
    paths = list(old.golden)
    bodies = [(_type_of(path.rsplit("/", 1)[-1]), old.golden[path]) for path in paths]
    for path, reading in zip(paths, new.read(bodies), strict=True):
        if reading.refused:
            sentence = f"{path} is refused by today's reader ({reading.refused}). {_advice(path)}"
            yield Finding(path, "breaks", sentence)


def _parties(name: str) -> _Parties:
    """Say who is concerned; a type no channel knows (any more) gets general words."""
    type_name = _type_of(name)
    for channel in CHANNELS:
        if channel.payload.type == type_name:
            archive = ["the archive of the bus"] if channel.event else []
            queues = [f"the {channel.queue_of} queue", "its DLQ"] if channel.queue_of else []
            subscriber = f"{channel.queue_of} or other subscriber" if channel.queue_of else ""
            reader = subscriber or "subscriber of the bus" if channel.event else channel.queue_of
            return _Parties(
                reader=str(reader),
                senders=" and ".join(channel.senders),
                stored=", ".join([*queues, *archive]),
                open_ended=channel.event,
            )
    for document in STORED_DOCUMENTS:
        if document.model.__name__ == type_name:
            return _Parties(
                reader=" and ".join(document.readers),
                senders=" and ".join(document.writers),
                stored=document.place,
                open_ended=False,
            )
    return _Parties("reader", "senders", "queues, DLQs, the archive", open_ended=False)


def _advice(name: str) -> str:
    type_name = _type_of(name)
    if any(document.model.__name__ == type_name for document in STORED_DOCUMENTS):
        return "A stored document has no version: keep it as it was, or add an optional field."
    return f"Keep it as it was, or publish a new version of {type_name} with an upcaster."


def _place(name: str, difference: Difference) -> str:
    return f"{_spoken(name)}: {difference.path or 'the body'}"


def _spoken(name: str) -> str:
    return name.replace(".v", " version ", 1)


def _type_of(name: str) -> str:
    return name.split(".", 1)[0]


def _shown(body: str) -> str:
    return body if len(body) <= _SHOWN_CHARACTERS else body[:_SHOWN_CHARACTERS] + "…"

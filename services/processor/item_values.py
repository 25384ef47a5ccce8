"""Attributes of a DynamoDB item become values of columns, exactly or not at all. Pure."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from contracts.item_tables import ItemColumn, ItemKind

Attribute = Mapping[str, Any]
"""A value as DynamoDB writes it: its type and what it holds, such as `{"N": "12.50"}`."""

DIGITS = 38
_INT64 = range(-(2**63), 2**63)
# DynamoDB's own numbers have 38 digits between 1E-130 and 1E+126; beyond this is none of its.
_MOST_DIGITS = 200
_EXACT = Context(prec=2 * _MOST_DIGITS)
_MICROSECONDS = 6
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# How JSON has what each of DynamoDB's types holds.
_SETS = frozenset({"SS", "NS", "BS"})
_HOLDS: Mapping[str, type] = {
    **dict.fromkeys(("S", "N", "B"), str),
    **dict.fromkeys(("BOOL", "NULL"), bool),
    **dict.fromkeys(("L", *_SETS), list),
    "M": dict,
}
# So much of a text that does not fit is told.
_TOLD = 40
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIMESTAMP = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6}0*)?)?(Z|[+-]\d{2}:?\d{2})?", re.ASCII
)


class Unfit(ValueError):
    """A value does not fit its column; `rule` names what it breaks."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.rule = rule


def cell(item: Mapping[str, Attribute], column: ItemColumn) -> Any:
    """Return the column's value in an item: None where it is missing or null.

    Raises:
        Unfit: it is missing and required, of another type, or not exact in the column.
    """
    found = _follow(item, column.steps)
    if found is None:
        if column.required:
            raise Unfit("missing", f"{said(column.steps)} is missing")
        return None
    try:
        return _CONVERTERS[column.kind](found, column)
    except Unfit as error:
        raise Unfit(error.rule, f"{said(column.steps)} {error}") from error


def said(steps: tuple[str | int, ...]) -> str:
    """Return a path as people write it: `lines[0].sku`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".")


def plain(attribute: Attribute | None) -> str:
    """Return a key's value for messages, whatever its type."""
    return "nothing" if attribute is None else str(next(iter(attribute.values()), ""))


def _follow(item: Mapping[str, Attribute], steps: tuple[str | int, ...]) -> Attribute | None:
    found: Attribute | None = {"M": item}
    for place, step in enumerate(steps):
        try:
            kind, held = _opened(found)
        except Unfit as error:
            raise Unfit(error.rule, f"{said(steps[:place])} {error}") from error
        wanted = "L" if isinstance(step, int) else "M"
        if kind == "NULL":
            return None
        if kind != wanted:
            raise Unfit("wrong_type", f"{said(steps[:place])} is a {kind}, not a {wanted}")
        if isinstance(step, int):
            found = held[step] if step < len(held) else None
        else:
            found = held.get(step)
        if found is None:
            return None
    # Anything else that is not as DynamoDB writes it is found, and told, by its converter.
    return None if found is None or found == {"NULL": True} else found


def _opened(attribute: Attribute | None) -> tuple[str, Any]:
    if not isinstance(attribute, dict) or len(attribute) != 1:
        raise Unfit("not_dynamodb", "is not one typed value")
    ((kind, held),) = attribute.items()
    well_formed = isinstance(held, _HOLDS.get(kind, ()))
    if kind in _SETS and well_formed:
        well_formed = all(isinstance(each, str) for each in held)
    if not well_formed:
        raise Unfit("not_dynamodb", f"is nothing that DynamoDB has as {kind!r}")
    return kind, held


def _held(attribute: Attribute, *kinds: str) -> Any:
    kind, held = _opened(attribute)
    if kind not in kinds:
        raise Unfit("wrong_type", f"is a {kind}, not a {' or '.join(kinds)}")
    return held


def _text(attribute: Attribute, _column: ItemColumn) -> str:
    return _without_nul(_held(attribute, "S"))


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise Unfit("nul_character", "holds a NUL character, which no text in PostgreSQL can")
    return text


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise Unfit("wrong_type", f"{text[:_TOLD]!r} is not a number") from None
    if not number.is_finite():
        raise Unfit("wrong_type", f"{text[:_TOLD]!r} is not a finite number")
    if not number:
        return Decimal(0)
    if len(number.as_tuple().digits) > _MOST_DIGITS or abs(number.adjusted()) > _MOST_DIGITS:
        raise Unfit("not_exact", f"is beyond what DynamoDB has as a number: {text[:_TOLD]}")
    return number


def _places(number: Decimal) -> tuple[int, int]:
    """Return how many digits a number needs before and behind the point; zero needs none."""
    if not number:
        return 0, 0
    _, digits, exponent = number.normalize(_EXACT).as_tuple()
    power = int(exponent)
    return max(len(digits) + power, 0), max(-power, 0)


def _integer(attribute: Attribute, _column: ItemColumn) -> int:
    number = _number(_held(attribute, "N"))
    whole, behind = _places(number)
    if behind or whole > DIGITS or int(number) not in _INT64:
        raise Unfit("not_exact", f"{number} is not a whole number of 64 bits")
    return int(number)


def _decimal(attribute: Attribute, column: ItemColumn) -> Decimal:
    return _fitting(_held(attribute, "N"), column.places)


def _fitting(text: str, places: int) -> Decimal:
    number = _number(text)
    whole, behind = _places(number)
    if whole > DIGITS - places or behind > places:
        raise Unfit(
            "not_exact",
            f"{text} does not fit {DIGITS - places} digits before and {places} behind the point",
        )
    return number


def _bool(attribute: Attribute, _column: ItemColumn) -> bool:
    return bool(_held(attribute, "BOOL"))


def _date(attribute: Attribute, _column: ItemColumn) -> date:
    text = _held(attribute, "S")
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise Unfit("wrong_type", f"{text[:_TOLD]!r} is not a date such as 2026-11-21")


def _timestamp(attribute: Attribute, _column: ItemColumn) -> datetime:
    text = _held(attribute, "S")
    try:
        if _TIMESTAMP.fullmatch(text):
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Unfit("wrong_type", f"{text[:_TOLD]!r} is not a moment such as 2026-11-21T09:00:00Z")


def _epoch(attribute: Attribute, _column: ItemColumn) -> datetime:
    number = _number(_held(attribute, "N"))
    whole, behind = _places(number)
    try:
        if behind <= _MICROSECONDS and whole <= DIGITS:
            micros = int(number.scaleb(_MICROSECONDS, _EXACT))
            return _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        pass
    raise Unfit("not_exact", f"{number} is not seconds since 1970, in microseconds at most")


def _texts(attribute: Attribute, column: ItemColumn) -> list[str]:
    held = _held(attribute, "SS", "L")
    if "L" in attribute:
        return [_text(each, column) for each in held]
    return sorted(_without_nul(text) for text in held)


def _decimals(attribute: Attribute, column: ItemColumn) -> list[Decimal]:
    held = _held(attribute, "NS", "L")
    if "L" in attribute:
        return [_decimal(each, column) for each in held]
    return sorted(_fitting(text, column.places) for text in held)


def _binary(attribute: Attribute, _column: ItemColumn) -> bytes:
    try:
        return base64.b64decode(_held(attribute, "B"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unfit("wrong_type", f"is not base64: {error}") from error


def _json(attribute: Attribute, _column: ItemColumn) -> str:
    return as_json(attribute)


def as_json(attribute: Attribute) -> str:
    """Return any attribute as JSON text: numbers digit by digit, sets sorted, bytes in base64.

    Raises:
        Unfit: a text in it holds a NUL character.
    """
    kind, held = _opened(attribute)
    match kind:
        case "M":
            pairs = (f"{_quoted(name)}:{as_json(inner)}" for name, inner in held.items())
            text = "{" + ",".join(pairs) + "}"
        case "L":
            text = _listed(map(as_json, held))
        case "N":
            text = _written(_number(held))
        case "NS":
            text = _listed(map(_written, sorted(map(_number, held))))
        case "SS" | "BS":
            text = _listed(map(_quoted, sorted(held)))
        case "S" | "B":
            text = _quoted(held)
        case "BOOL":
            text = "true" if held else "false"
        case _:
            text = "null"
    return text


def _listed(texts: Iterable[str]) -> str:
    return "[" + ",".join(texts) + "]"


def _quoted(text: str) -> str:
    return json.dumps(_without_nul(text), ensure_ascii=False)


def _written(number: Decimal) -> str:
    return format(number, "f")


_CONVERTERS: Mapping[ItemKind, Callable[[Attribute, ItemColumn], Any]] = {
    "text": _text,
    "int": _integer,
    "decimal": _decimal,
    "bool": _bool,
    "date": _date,
    "timestamp": _timestamp,
    "epoch": _epoch,
    "texts": _texts,
    "decimals": _decimals,
    "json": _json,
    "binary": _binary,
}

"""Another revision of a contract, and what a person would say about the change."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import (
    create_model,
)

from contracts import (
    Payload,
)
from contracts.compat import Verdict

Model = type[Payload]
Digits = tuple[Any, Any]


def changed(model: Model, *, without: Sequence[str] = (), **fields: Digits) -> Model:
    """Return `model` as another revision would have it: fields taken away, replaced or added."""
    kept = {
        name: (field.rebuild_annotation(), field)
        for name, field in model.model_fields.items()
        if name not in without
    }
    made: Model = create_model(  # type: ignore[call-overload]  # fields come as a mapping
        model.__name__, __base__=Payload, __doc__=model.__doc__, **(kept | fields)
    )
    made.type = model.type
    made.version = model.version
    return made


@dataclass(frozen=True)
class Mutation:
    what: str
    before: Model
    after: tuple[Model, ...]
    verdict: Verdict | None
    words: str = ""

    def __str__(self) -> str:
        return self.what


def mutation(
    what: str, before: Model, after: Model, verdict: Verdict | None, words: str = ""
) -> Mutation:
    return Mutation(what, before, (after,), verdict, words)

"""What processors have learnt about types, shared through one object of the lake."""

import json
from typing import Literal, Protocol

from pydantic import ValidationError

from contracts.column_types import ColumnType
from contracts.model import Contract
from services.processor.column_types import Types, merge
from shared.errors import SchemaMismatch, TransientError

_ATTEMPTS = 20


class VersionedStore(Protocol):
    """Objects with a tag per version, written only over the version that was read."""

    async def get_with_etag(self, key: str) -> tuple[bytes, str] | None:
        """Return an object and its tag, or None."""
        ...

    async def put_if(self, key: str, data: bytes, etag: str | None) -> bool:
        """Write over version `etag`, with None only a new key; say whether it was written."""
        ...


class _LearntTypes(Contract):
    version: Literal[1] = 1
    types: dict[str, ColumnType]


def registry_key(dataset: str) -> str:
    """Return where a dataset's learnt types lie."""
    return f"registry/{dataset}.json"


async def learnt_types(store: VersionedStore, key: str) -> Types | None:
    """Read learnt types; None if nobody has written any.

    Raises:
        SchemaMismatch: the object is there but is no such registry.
    """
    found = await store.get_with_etag(key)
    return None if found is None else _parse(found[0], key)


async def agree(store: VersionedStore, key: str, learnt: Types) -> Types:
    """Join `learnt` into the registry and return what all processors now agree on.

    Whoever writes second joins with what the first one wrote, so the order does not matter.

    Raises:
        TransientError: others kept writing in between.
    """
    for _ in range(_ATTEMPTS):
        found = await store.get_with_etag(key)
        known, etag = ({}, None) if found is None else (_parse(found[0], key), found[1])
        merged = merge(known, learnt)
        if found is not None and merged == known:
            return merged
        if await store.put_if(key, _render(merged), etag):
            return merged
    raise TransientError(f"{key} changed {_ATTEMPTS} times while types were being added to it")


async def pin(store: VersionedStore, key: str, types: Types) -> Types:
    """Write `types` unless they were written before; return those that stand."""
    await store.put_if(key, _render(types), None)
    pinned = await learnt_types(store, key)
    return types if pinned is None else pinned


def _render(types: Types) -> bytes:
    document = _LearntTypes(types=dict(sorted(types.items())))
    return json.dumps(document.model_dump(), indent=0).encode()


def _parse(data: bytes, key: str) -> Types:
    try:
        return _LearntTypes.model_validate_json(data).types
    except ValidationError as error:
        raise SchemaMismatch(f"{key} is not a type registry: {error}") from error

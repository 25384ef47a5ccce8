"""One way to say "the same columns", for the writer and the reader of a Parquet file."""

import hashlib
import json
from collections.abc import Iterable


def schema_fingerprint(columns: Iterable[tuple[str, str]]) -> str:
    """Return the SHA-256 of names and types in file order, as lower-case hex.

    Both sides take names and types from the finished file's schema as Arrow reads it, with types
    spelt by Arrow (`int64`, `double`, `date32[day]`), so that no writer's own names leak in.
    """
    listed = json.dumps([list(column) for column in columns], ensure_ascii=False)
    return hashlib.sha256(listed.encode()).hexdigest()

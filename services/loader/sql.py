"""SQL text. Identifiers come from contracts and are always quoted; values never become text."""

import hashlib

_MAX_NAME_BYTES = 63
_DIGEST_CHARACTERS = 8


def quoted(identifier: str) -> str:
    """Return an identifier as PostgreSQL reads it exactly.

    Raises:
        ValueError: empty, over 63 bytes (the server would cut it silently) or with a NUL.
    """
    if not identifier or "\0" in identifier or len(identifier.encode()) > _MAX_NAME_BYTES:
        raise ValueError(f"{identifier!r} is not a PostgreSQL identifier of 1 to 63 bytes")
    return '"' + identifier.replace('"', '""') + '"'


def qualified(schema: str, name: str) -> str:
    """Return `"schema"."name"`."""
    return f"{quoted(schema)}.{quoted(name)}"


def listed(names: list[str] | tuple[str, ...], prefix: str = "") -> str:
    """Return quoted names separated by commas, each after `prefix` (such as `t.`)."""
    return ", ".join(prefix + quoted(name) for name in names)


def short_name(name: str) -> str:
    """Return `name`, or for one over 63 bytes its start and eight digits of its SHA-256.

    Two long names that start alike stay two columns, and the start stays readable.
    """
    if len(name.encode()) <= _MAX_NAME_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    room = _MAX_NAME_BYTES - _DIGEST_CHARACTERS - 1
    return name.encode()[:room].decode(errors="ignore") + "_" + digest


def lock_key(schema: str, table: str) -> int:
    """Return the signed 64-bit advisory lock key of one table; equal in every loader."""
    digest = hashlib.sha256(f"quarry/{schema}/{table}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def literal(name: str) -> str:
    """Return a name from a contract as an SQL string; values travel as parameters instead."""
    if "\\" in name or "\0" in name:
        raise ValueError(f"{name!r} cannot be written as a plain SQL string")
    return "'" + name.replace("'", "''") + "'"

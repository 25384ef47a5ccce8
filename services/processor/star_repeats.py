"""Which keys come more than once in a packet, found on disk: a packet may be larger than memory."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types

# A row is never shorter than some hundred bytes, so a share has a few million keys at most.
_SHARE_BYTES = 256 * 1024 * 1024
_KEY_BYTES = 8


def repeated_keys(
    keys: Iterator[pl.Series], packet_bytes: int, folder: Path, share_bytes: int = _SHARE_BYTES
) -> pl.Series:
    """Return the keys that `keys`, integers without nulls, hold more than once.

    They are spread over files in `folder` by their remainder, so that equal ones meet in one file.
    """
    shares = packet_bytes // share_bytes + 1
    with TemporaryDirectory(dir=folder, prefix="keys-") as made:
        paths = [Path(made) / str(share) for share in range(shares)]
        for some in keys:
            for share, path in enumerate(paths):
                with path.open("ab") as file:
                    file.write(_bytes_of(some.filter(some % shares == share)))
        found = [_repeated(path) for path in paths]
    return pl.concat(found)


def _repeated(path: Path) -> pl.Series:
    data = path.read_bytes() if path.exists() else b""
    array = pa.Array.from_buffers(pa.int64(), len(data) // _KEY_BYTES, [None, pa.py_buffer(data)])
    keys = pl.Series(array, dtype=pl.Int64())
    return keys.filter(keys.is_duplicated()).unique()


def _bytes_of(keys: pl.Series) -> bytes:
    array = keys.rechunk().to_arrow()
    _, values = array.buffers()
    begin, size = array.offset * _KEY_BYTES, len(array) * _KEY_BYTES
    return bytes(memoryview(values)[begin : begin + size]) if size else b""

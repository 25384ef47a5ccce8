import hashlib
import json
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types

from services.processor.parquet import ParquetFile, write_parquet

FRAME = pl.DataFrame(
    {
        "idrssd": [37, 242],
        "period_end": [date(2013, 3, 31)] * 2,
        "ratio": [0.1, None],
        "truth": [True, None],
        "words": ["a\nb", ""],
        "confidential": [["rcon0010"], None],
        "moment": [datetime(2013, 4, 20, 8, 58, 24), None],  # noqa: DTZ001  # without zone
        "empty": pl.Series([None, None], dtype=pl.Int64),
    }
)


def written(path: Path, frame: pl.DataFrame = FRAME, **descriptions: str) -> ParquetFile:
    return write_parquet(frame, path, descriptions=descriptions, about={"key": ["idrssd"]})


def test_types_are_those_every_reader_knows(tmp_path: Path) -> None:
    file = written(tmp_path / "a.parquet")
    types = {field.name: str(field.type) for field in pq.read_schema(file.path)}
    assert types == {
        "idrssd": "int64",
        "period_end": "date32[day]",
        "ratio": "double",
        "truth": "bool",
        "words": "string",
        "confidential": "list<element: string>",
        "moment": "timestamp[us]",
        "empty": "int64",
    }


def test_rows_come_back_as_they_went(tmp_path: Path) -> None:
    assert pq.read_table(written(tmp_path / "a.parquet").path).to_pylist() == FRAME.to_dicts()


def test_descriptions_and_facts_travel_with_the_columns(tmp_path: Path) -> None:
    file = written(tmp_path / "a.parquet", ratio="CAPITAL RATIO")
    schema = pq.read_schema(file.path)
    assert schema.field("ratio").metadata[b"description"] == b"CAPITAL RATIO"
    assert json.loads(schema.metadata[b"quarry"]) == {"key": ["idrssd"]}


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = written(tmp_path / "a.parquet"), written(tmp_path / "b.parquet")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.sha256 == hashlib.sha256(first.path.read_bytes()).hexdigest()
    assert first.bytes == len(first.path.read_bytes())


def test_the_fingerprint_follows_types_and_not_descriptions(tmp_path: Path) -> None:
    plain = written(tmp_path / "a.parquet")
    described = written(tmp_path / "b.parquet", ratio="CAPITAL RATIO")
    other = written(tmp_path / "c.parquet", FRAME.with_columns(ratio=pl.lit(1)))
    assert plain.fingerprint == described.fingerprint
    assert plain.fingerprint != other.fingerprint


def test_statistics_prove_which_columns_are_empty(tmp_path: Path) -> None:
    group = pq.ParquetFile(written(tmp_path / "a.parquet").path).metadata.row_group(0)
    counts = {
        chunk.path_in_schema: chunk.statistics.null_count
        for chunk in (group.column(place) for place in range(group.num_columns))
        if chunk.statistics is not None
    }
    assert counts == {"empty": 2}


def test_a_table_without_rows_is_a_file_with_columns(tmp_path: Path) -> None:
    file = written(tmp_path / "a.parquet", FRAME.clear())
    assert pq.read_table(file.path).num_rows == 0
    assert file.fingerprint == written(tmp_path / "b.parquet").fingerprint

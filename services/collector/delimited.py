"""What a dropped file of delimited text is, or why it cannot be taken. Memory holds one record."""

import csv
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NoReturn, TextIO, get_args

from contracts.drop_table import Delimiter, DropTable
from shared.errors import PermanentError

_SAMPLE_RECORDS = 100
# A file without line ends, or with a quote that nobody closes, is not to fill memory.
_LONGEST_RECORD = 1024 * 1024


class UnfitFile(PermanentError):
    """A dropped file cannot be taken; the message is the reason that goes beside it."""


class _Malformed(UnfitFile):
    """The text breaks the rules of quoting; under another delimiter it may not."""


@dataclass(frozen=True)
class Shape:
    """How a file is to be read; `rows` are its records without the header and empty lines."""

    delimiter: Delimiter
    header: bool
    rows: int


def shape_of(path: Path, table: DropTable) -> Shape:
    """Read the whole file once and say what it is.

    Raises:
        UnfitFile: not UTF-8, not delimited as declared, other columns, or no records.
    """
    delimiter, first = _most_fitting(path, table)
    header = _is_header(first, table)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = sum(1 for _ in _records(file, delimiter)) - header
    if rows < 1:
        raise UnfitFile("it has a header and no records")
    return Shape(delimiter, header, rows)


def _most_fitting(path: Path, table: DropTable) -> tuple[Delimiter, list[str]]:
    """Return the delimiter that gives most records the declared width, and the first record."""
    samples = {delimiter: _sample(path, delimiter) for delimiter in get_args(Delimiter)}
    fitting = {
        delimiter: sum(len(cells) == len(table.columns) for cells in sample)
        for delimiter, sample in samples.items()
    }
    best: Delimiter = max(fitting, key=fitting.__getitem__)
    if not any(samples.values()):
        _refuse(path)
    if not fitting[best]:
        widths = " and ".join(
            f"{len(sample[0])} by {delimiter!r}" for delimiter, sample in samples.items() if sample
        )
        raise UnfitFile(
            f"record 1 has {widths} cells; {table.name} has {len(table.columns)} columns: "
            f"{', '.join(table.column_names)}"
        )
    return best, samples[best][0]


def _sample(path: Path, delimiter: Delimiter) -> list[list[str]]:
    sample: list[list[str]] = []
    # What is malformed under this delimiter need not be under the other; `shape_of` reads on.
    with path.open(encoding="utf-8-sig", newline="") as file, suppress(_Malformed):
        sample.extend(islice(_records(file, delimiter), _SAMPLE_RECORDS))
    return sample


def _refuse(path: Path) -> NoReturn:
    """Say what is wrong with a file that has no record under any delimiter."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        for _ in _records(file, get_args(Delimiter)[0]):
            break
    raise UnfitFile("it has no records")


def _is_header(first: list[str], table: DropTable) -> bool:
    """Say whether the first record names the columns, in any order and case.

    Raises:
        UnfitFile: it names other columns.
    """
    names = [cell.strip().casefold() for cell in first]
    declared = {name.casefold() for name in table.column_names}
    if len(names) == len(declared) and set(names) == declared:
        return True
    typed = [
        cell
        for cell, column in zip(names, table.columns, strict=False)
        if column.kind != "text" and len(names) == len(declared)
    ]
    # A number or a date has a digit; where none of them has one, these are other names.
    if typed and all(cell and not any(map(str.isdigit, cell)) for cell in typed):
        unknown = ", ".join(name for name in names if name not in declared)
        missing = ", ".join(sorted(declared - set(names)))
        raise UnfitFile(f"its header lacks {missing or 'nothing'} and has {unknown or 'a name'}")
    return False


def _records(file: TextIO, delimiter: Delimiter) -> Iterator[list[str]]:
    """Yield the cells of each record that is not an empty line.

    Raises:
        UnfitFile: the message names the record or line.
    """
    lines = _Lines(file)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    number = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _Malformed(f"record {number + 1}, to line {lines.number}: {error}") from error
        lines.of_record = 0
        if cells:
            number += 1
            yield cells


class _Lines:
    """A file's lines, bounded; `of_record` are the characters read since the last record."""

    def __init__(self, file: TextIO) -> None:
        self.number = 0
        self.of_record = 0
        self._file = file

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        try:
            line = self._file.readline(_LONGEST_RECORD + 1)
        except UnicodeDecodeError as error:
            raise UnfitFile(f"it is not UTF-8 somewhere after line {self.number}") from error
        if not line:
            raise StopIteration
        self.number += 1
        self.of_record += len(line)
        if self.of_record > _LONGEST_RECORD:
            raise _Malformed(
                f"the record at line {self.number} is longer than {_LONGEST_RECORD:,} characters"
            )
        if "\0" in line:
            raise UnfitFile(f"line {self.number} holds a NUL character")
        return line

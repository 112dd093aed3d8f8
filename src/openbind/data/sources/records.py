"""Record files: CSV, JSON Lines and Parquet, read line by line."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from openbind.errors import ConfigError, InputError, MissingExtraError, first_line, shorten
from openbind.media.source import open_source

Record = Mapping[str, Any]


@dataclass(frozen=True)
class RecordFile:
    """A file of records of any format.

    Args:
        columns: names of all columns.
        records: wanted columns → (line number from 1, cells by column) of each line, with at least
            the wanted columns; each call reads the file again.
        line: what errors call a line.
    """

    columns: tuple[str, ...]
    records: Callable[[Sequence[str]], Iterator[tuple[int, Record]]]
    line: str = "line"


def open_records(path: Path) -> RecordFile:
    """Open a record file and read its columns' names.

    Args:
        path: .csv (comma-separated, UTF-8, names in the first line), .jsonl (one object per line;
            missing keys are empty cells) or .parquet. Empty lines are skipped.

    Raises:
        ConfigError: unsupported extension.
        InputError: missing, empty, of another format, or with duplicate columns; while reading
            records, a broken line.
        MissingExtraError: Parquet without its extra.
    """
    openers = {".csv": _open_csv, ".jsonl": _open_jsonl, ".parquet": _open_parquet}
    if path.suffix.lower() not in openers:
        raise ConfigError(f"{path}: expected a manifest with the extension {', '.join(openers)}")
    open_source(path)
    return openers[path.suffix.lower()](path)


def _open_csv(path: Path) -> RecordFile:
    def lines() -> Iterator[tuple[int, list[str]]]:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            try:
                yield from ((reader.line_num, cells) for cells in reader if cells)
            except UnicodeDecodeError as error:
                raise InputError(
                    path, f"after line {reader.line_num}: not UTF-8 ({error})"
                ) from error
            except csv.Error as error:
                raise InputError(path, f"line {reader.line_num}: not CSV ({error})") from error

    def records(wanted: Sequence[str]) -> Iterator[tuple[int, Record]]:
        positions = [(name, columns.index(name)) for name in wanted]
        for line, cells in islice(lines(), 1, None):
            if len(cells) != len(columns):
                reason = f"expected {len(columns)} cells as in line 1, found {len(cells)}"
                raise InputError(path, f"line {line}: {reason}")
            yield line, {name: cells[i] for name, i in positions}

    _, names = next(lines(), (0, []))
    columns = tuple(name.strip() for name in names)
    if twice := [name for name, count in Counter(columns).items() if count > 1]:
        raise InputError(path, f"duplicate column {twice[0]!r}")
    return RecordFile(columns, records)


def _open_jsonl(path: Path) -> RecordFile:
    def records(wanted: Sequence[str]) -> Iterator[tuple[int, Record]]:
        with path.open("rb") as file:
            for line, text in enumerate(file, start=1):
                if not text.strip():
                    continue
                try:
                    record = json.loads(text)
                except (RecursionError, ValueError) as error:
                    raise InputError(
                        path, f"line {line}: not JSON ({first_line(error)})"
                    ) from error
                if not isinstance(record, dict):
                    found = f"expected an object {{…}}, found {shorten(record)}"
                    raise InputError(path, f"line {line}: {found}")
                yield line, record

    columns: dict[str, None] = {}
    for _, record in records([]):
        columns |= dict.fromkeys(record)
    return RecordFile(tuple(columns), records)


def _open_parquet(path: Path) -> RecordFile:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(f"reading {path}", "pyarrow", "parquet") from error

    def records(wanted: Sequence[str]) -> Iterator[tuple[int, Record]]:
        done = 0
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(columns=list(wanted)):
                    yield from enumerate(batch.to_pylist(), start=done + 1)
                    done += len(batch)
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise InputError(path, f"broken after row {done} ({first_line(error)})") from error

    try:
        columns = tuple(pyarrow.parquet.read_schema(path).names)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"not a Parquet file ({first_line(error)})") from error
    return RecordFile(columns, records, "row")

"""Tables of numbers: CSV files, NumPy files and arrays → time steps with named columns."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from openbind.errors import InputError
from openbind.limits import check_limit, current_limits
from openbind.media.arrays import is_array, load_array, looks_like_numpy, to_numpy
from openbind.media.dates import is_like_date, to_seconds
from openbind.media.source import open_source, read_bytes

SEPARATORS = "\t;,"
"""Column separators, tried in this order on the first line; the default is white space."""

Choose = Callable[[tuple[str, ...]], Sequence[int]]
"""Names of all columns → indices of those to read, ascending."""


@dataclass(frozen=True)
class Table:
    """Measurements in temporal order.

    Args:
        values_TC: (steps, columns) float64, or float32 if the source has it; NaN where missing.
        columns: their names, if the source has any.
        dates: names of columns that held dates or times of day, converted to seconds.
    """

    values_TC: np.ndarray
    columns: tuple[str, ...] | None = None
    dates: frozenset[str] = frozenset()


def read_table(source: Any, choose: Choose | None = None) -> Table:
    """Read a table of numbers.

    Args:
        source: path or bytes of a CSV file (commas, semicolons, tabs or spaces; the first line
            may name the columns; lines that start with # are skipped; empty cells are NaN, dates
            and times of day seconds) or of a `.npy` or `.npz` file of one array; an array or
            tensor (T, C) or (T,).
        choose: called with the names of a CSV file's columns, if it has any, returns those to
            read; others may hold text.

    Returns:
        all values, unchanged. The source isn't modified.

    Raises:
        InputError: missing, empty, truncated, not numbers, no rows, or rows of unequal length.
    """
    if is_array(source):
        return Table(_checked(to_numpy(source, source), source))
    opened = open_source(source)
    if looks_like_numpy(opened):
        return Table(_checked(load_array(opened, source), source))
    return _read_csv(opened, source, choose)


def _read_csv(opened: Path | io.BytesIO, source: Any, choose: Choose | None) -> Table:
    data = read_bytes(opened)
    check_limit("rows", max(data.count(b"\n"), data.count(b"\r")), source)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(source, "expected a CSV or NumPy file, found other data") from error
    # Not `splitlines`, which also splits at form feeds and eight other characters.
    whole = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    lines = [line for line in whole if line.strip() and not line.startswith("#")]
    if not lines:
        raise InputError(source, "empty table: no rows")
    separator = next((mark for mark in SEPARATORS if mark in lines[0]), None)
    _check_cells(lines, separator, source)
    first = [cell.strip().strip('"') for cell in lines[0].split(separator)]
    columns = None if all(map(_is_number, first)) else tuple(first)
    rows = lines if columns is None else lines[1:]
    if not rows:
        raise InputError(source, "empty table: no rows")
    if separator and (separator == ";" or _has_gaps(text, separator)):
        rows = _fill_empty(rows, separator)
    if columns is None:
        return Table(_checked(_parse(rows, separator, None, source), source))
    chosen = None if choose is None else choose(columns)
    dates = _find_dates(rows[0], separator, chosen)
    values_TC = _parse(rows, separator, chosen, source, dates)
    names = frozenset(columns[index] for index in dates if index < len(columns))
    if chosen is not None:
        read = tuple(columns[index] for index in chosen)
        return Table(_checked(values_TC, source), read, names)
    if len(columns) != values_TC.shape[1]:
        found = f"{len(columns)} names for {values_TC.shape[1]} columns"
        raise InputError(source, f"expected a name for each column, found {found}")
    return Table(_checked(values_TC, source), columns, names)


def _check_cells(lines: list[str], separator: str | None, source: Any) -> None:
    """Check the number of columns and cells before the lines are split."""
    most = current_limits().columns
    # A cell and the separator before it have a character each, but for empty cells.
    long = [line.split(separator, most + 1) for line in lines if len(line) > most]
    columns = max((len(cells) for cells in long), default=1)
    check_limit("columns", columns, source)
    check_limit("cells", len(lines) * len(lines[0].split(separator)), source)


def _find_dates(row: str, separator: str | None, chosen: Sequence[int] | None) -> list[int]:
    """Return the columns to read that hold dates in the first row."""
    cells = row.split(separator)
    indices = range(len(cells)) if chosen is None else [i for i in chosen if i < len(cells)]
    return [index for index in indices if is_like_date(cells[index])]


def _parse(
    rows: list[str],
    separator: str | None,
    chosen: Sequence[int] | None,
    source: Any,
    dates: Sequence[int] = (),
) -> np.ndarray:
    try:
        return np.loadtxt(
            rows,
            delimiter=separator,
            ndmin=2,
            comments=None,
            quotechar='"',
            usecols=chosen,
            converters=dict.fromkeys(dates, to_seconds),
            encoding="utf-8",
        )
    except ValueError as error:
        raise InputError(source, f"expected a table of numbers: {error}") from error


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", ".") or "nan")
    except ValueError:
        return False
    return True


def _has_gaps(text: str, separator: str) -> bool:
    """Return whether cells may be empty, which is faster to see than to mend."""
    marks = [separator + after for after in (separator, " ", "\n", "\r")]
    marks += [before + separator for before in (" ", "\n", "\r")]
    return text.startswith(separator) or text.endswith(separator) or any(m in text for m in marks)


def _fill_empty(rows: list[str], separator: str) -> list[str]:
    """Write nan into empty cells; in semicolon-separated rows replace decimal commas by points."""
    mark = re.escape(separator)
    empty = re.compile(rf"(?:^|(?<={mark}))[ ]*(?={mark}|$)")
    filled = [empty.sub("nan", row) for row in rows]
    return [row.replace(",", ".") for row in filled] if separator == ";" else filled


def _checked(values: np.ndarray, source: Any) -> np.ndarray:
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2:
        raise InputError(source, f"expected (T, C), found {values.shape}")
    if not values.size:
        raise InputError(source, "empty table: no rows")
    return np.array(values, dtype=np.float32 if values.dtype == np.float32 else np.float64)

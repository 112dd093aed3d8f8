"""What a suite is: one data set in its own layout, what is asked of it, and published numbers."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from openbind.errors import InputError
from openbind.evaluation.tasks import Task


@dataclass(frozen=True, kw_only=True)
class Published:
    """A number from a paper to hold ours against.

    Args:
        task, metric: of the score that it belongs to.
        value: as ours, shares in 0..1.
        where: which system, paper and table.
    """

    task: str
    metric: str
    value: float
    where: str


@dataclass(frozen=True, kw_only=True)
class Suite:
    """One data set.

    Args:
        title: as its authors call it.
        layout: the files that are expected below the data folder, a line each.
        origin: where it can be had.
        license: of the data.
        read: data folder → what is asked; raises InputError naming what is missing or wrong.
        published: numbers to hold ours against.
        overlaps: names of data sets that share items with it; spaces trained on one are warned of,
            as are those trained on the title's own data where it doesn't say another split.
    """

    title: str
    layout: str
    origin: str
    license: str
    read: Callable[[Path], tuple[Task, ...]]
    published: tuple[Published, ...] = ()
    overlaps: tuple[str, ...] = ()


def require(suite: str, data: Path, *places: str) -> None:
    """Check that a data folder holds some files or folders.

    Raises:
        InputError: one is missing; says which, what there is, and how to get help.
    """
    if not data.is_dir():
        raise InputError(data, f"no such folder; {suite}'s data are expected in it")
    for place in places:
        if not (data / place).exists():
            found = sorted(os.listdir(data))
            listed = ", ".join(found[:8]) + (", …" if len(found) > 8 else "") or "nothing"
            raise InputError(
                data / place,
                f"missing; {suite} is read from a folder with {', '.join(places)}, found {listed}",
            )


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read a CSV file with a header.

    Raises:
        InputError: it lacks a column, or has no rows.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    missing = [name for name in columns if name not in (reader.fieldnames or ())]
    if missing:
        raise InputError(path, f"no column {', '.join(missing)}; there are {reader.fieldnames}")
    if not rows:
        raise InputError(path, "a table without rows")
    return rows

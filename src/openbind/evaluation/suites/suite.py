"""The description of a suite: a data set in its own layout, its tasks, and published numbers."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from openbind.errors import InputError
from openbind.evaluation.contamination import identify
from openbind.evaluation.results import Published
from openbind.evaluation.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A data set.

    Args:
        title: its name by its authors.
        layout: the files expected in the data folder, a line each.
        origin: where to get it.
        license: of the data.
        read: data folder → tasks; raises InputError naming what is missing or wrong.
        published: numbers from papers.
        overlaps: names of data sets that share items with it, for warnings about train/test
            contamination declared in a model card.
        identify: file name → what makes two files the same item, by which those that a space was
            trained on are skipped; by default all but the extension.
        ships: whether the sets that ship are read where no folder is given.
    """

    title: str
    layout: str
    origin: str
    license: str
    read: Callable[[Path], tuple[Task, ...]]
    published: tuple[Published, ...] = ()
    overlaps: tuple[str, ...] = ()
    identify: Callable[[str], str] = identify
    ships: bool = False


def require(suite: str, data: Path, *names: str) -> None:
    """Check that a data folder contains some files or folders.

    Raises:
        InputError: one is missing; names it, what was expected and what was found.
    """
    if not data.is_dir():
        raise InputError(data, f"no such folder; expected the data of {suite}")
    for name in names:
        if not (data / name).exists():
            found = sorted(os.listdir(data))
            listed = ", ".join(found[:8]) + (", …" if len(found) > 8 else "") or "nothing"
            raise InputError(
                data / name,
                f"missing; {suite} is read from a folder with {', '.join(names)}, found {listed}",
            )


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a CSV file with a header.

    Raises:
        InputError: it lacks a column, or has no rows.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    missing = [name for name in columns if name not in (reader.fieldnames or ())]
    if missing:
        raise InputError(path, f"no column {', '.join(missing)}; found {reader.fieldnames}")
    if not rows:
        raise InputError(path, "empty table")
    return rows

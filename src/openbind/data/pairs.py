"""Pairs: aligned samples of two modalities, before anything is decoded."""

from __future__ import annotations

import hashlib
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from openbind.embedding.items import Item
from openbind.errors import ConfigError, shorten

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Common names of splits, in lower case → the name used here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One aligned sample.

    Args:
        key: its name in the source, stable across runs: random choices depend on it.
        items: modality → its items, one of which is drawn at a time (a sound may have several
            images of the same class, an image several captions).
        label: class label; with `positives: label`, rows of one label match each other.
        split: "train", "val", ...; None where the source has no splits.
        span: seconds (start, end) of its recordings that it covers; None is all of them.
        recording: name of the recording it was cut from; rows of one recording are held out
            together.
        weight: how much it counts beside others where a head's features are standardized and its
            ridge regression is solved, not at all with 0; steps draw all rows alike.
    """

    key: str
    items: Mapping[str, tuple[Item, ...]]
    label: str | None = None
    split: str | None = None
    span: tuple[float, float] | None = None
    recording: str | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class Rows:
    """The rows of a source.

    Args:
        rows: in the source's order, the same in every run.
        excluded: what was skipped and why, as sentences without a full stop.
    """

    rows: tuple[Row, ...]
    excluded: tuple[str, ...] = ()


class RowItems(Mapping[str, tuple[Item, ...]]):
    """The items of one row in little memory, which decides whether millions of rows fit.

    A file is stored as its path's text (about 80 bytes) and becomes a `Path` (about 300) on access.

    Args:
        modalities: names of the row's modalities; one tuple is shared by all rows.
        cells: for each modality the text of one path, or the items themselves.
    """

    __slots__ = ("_cells", "_modalities")

    def __init__(
        self, modalities: tuple[str, ...], cells: tuple[str | tuple[Item, ...], ...]
    ) -> None:
        self._modalities, self._cells = modalities, cells

    def __getitem__(self, modality: str) -> tuple[Item, ...]:
        if modality not in self._modalities:
            raise KeyError(modality)
        cell = self._cells[self._modalities.index(modality)]
        return (Path(cell),) if isinstance(cell, str) else cell

    def __iter__(self) -> Iterator[str]:
        return iter(self._modalities)

    def __len__(self) -> int:
        return len(self._modalities)

    def __repr__(self) -> str:
        return repr(dict(self))


def name_split(name: str) -> str:
    """Normalize a split's name: "valid" and "validation" become "val"."""
    return SPLITS.get(name.lower(), name)


def read_name(value: Any) -> str | None:
    """Read a row's label or split, text or a number, as an interned string; None for None and "".

    Raises:
        ValueError: a list or an object; the caller adds the location.
    """
    if isinstance(value, list | tuple | dict):
        raise ValueError(f"expected one label or split, found {shorten(value)}")
    text = "" if value is None else str(value).strip()
    return sys.intern(text) if text else None


def read_split(value: Any) -> str | None:
    """Read a row's split as `read_name` does, with its name normalized."""
    name = read_name(value)
    return None if name is None else name_split(name)


def read_weight(value: Any) -> float:
    """Read a row's weight, a number or text; 1 for None and "".

    Raises:
        ValueError: not a finite number of at least 0; the caller adds the location.
    """
    if value is None or value == "":
        return 1.0
    try:
        weight = float(value)
    except (OverflowError, TypeError, ValueError):
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise ValueError(f"weight: expected a number of at least 0, found {shorten(value)}")
    return weight


def read_span(start: Any, end: Any) -> tuple[float, float] | None:
    """Read a row's `start` and `end` in seconds, as numbers or text; None where both are empty.

    Raises:
        ValueError: one without the other, not numbers, or not 0 ≤ start < end; the caller adds
            the location.
    """
    missing = [value is None or value == "" for value in (start, end)]
    if all(missing):
        return None
    if any(missing):
        raise ValueError(
            f"expected start and end or neither, found {shorten(start)} and {shorten(end)}"
        )
    try:
        span = (float(start), float(end))
    except (OverflowError, TypeError, ValueError) as error:
        found = f"{shorten(start)} and {shorten(end)}"
        raise ValueError(f"expected start and end in seconds, found {found}") from error
    if not 0 <= span[0] < span[1] < math.inf:
        raise ValueError(f"expected 0 ≤ start < end, found {span[0]:g} and {span[1]:g}")
    return span


def choose_split(rows: Sequence[Row], split: str | None) -> list[Row]:
    """Return the rows of one split; None returns all.

    Raises:
        ConfigError: the split has no rows.
    """
    if split is None:
        return list(rows)
    name = name_split(split)
    chosen = [row for row in rows if row.split == name]
    if not chosen:
        counts = Counter(row.split or "(none)" for row in rows)
        listed = ", ".join(f"{found}: {count} rows" for found, count in sorted(counts.items()))
        raise ConfigError(f"no rows of the split {split!r}; there are {listed or 'no rows at all'}")
    return chosen


def hold_out(rows: Sequence[Row], fraction: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Split off validation rows by a hash of their names.

    A row's side depends only on its name and the seed, so rows added later move no other row
    (except that each side has at least one). Rows cut from one recording stay together.

    Args:
        rows: to split.
        fraction: of them to hold out, in (0, 1); the result differs from it by chance.
        seed: of the hash.

    Returns:
        (training rows, held-out rows), both in their order, neither empty.

    Raises:
        ConfigError: a fraction outside (0, 1), or fewer than two rows (or recordings).
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"validation: expected a fraction between 0 and 1, found {fraction}")
    names = (row.key if row.recording is None else row.recording for row in rows)
    hashes = np.fromiter((_hash(name, seed) for name in names), np.float64, len(rows))
    if not len(rows) or hashes.min() == hashes.max():
        raise ConfigError(
            f"{len(rows)} rows of at most one recording can't be split for validation; "
            "add data or name a validation split"
        )
    held = ((hashes < fraction) | (hashes == hashes.min())) & (hashes < hashes.max())
    return (
        [row for row, is_held in zip(rows, held, strict=True) if not is_held],
        [row for row, is_held in zip(rows, held, strict=True) if is_held],
    )


def _hash(name: str, seed: int) -> float:
    """Map a name to [0, 1), uniformly."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64

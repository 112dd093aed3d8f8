"""Pairs: aligned samples, a image and something else, before anything is decoded."""

from __future__ import annotations

import hashlib
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from openbind.embedding.items import Item
from openbind.errors import ConfigError

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Names of splits, in lower case, and what they are called here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One aligned sample.

    Args:
        key: names it in its source, the same in every run: random choices depend on it.
        items: modality → its items, of which one is drawn at a time (a sound with several
            images of the same thing has several).
        label: what it shows; rows of one label may count as each other's matches.
        split: "train", "val", ...; None where the source doesn't say.
        span: seconds (start, end) of its recordings that it is about; None is all of them.
        recording: names what it was cut from, where other rows may be cut from the same; those
            are held out together.
    """

    key: str
    items: Mapping[str, tuple[Item, ...]]
    label: str | None = None
    split: str | None = None
    span: tuple[float, float] | None = None
    recording: str | None = None


@dataclass(frozen=True)
class Rows:
    """What a source gave.

    Args:
        rows: in its order, the same in every run.
        excluded: what was passed over and why, in sentences without a full stop.
    """

    rows: tuple[Row, ...]
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where pairs lie: exactly one of `manifest`, `folders`, `shards` and `videos`.

    Relative paths start from the data folder that the run is given.

    Args:
        manifest: a .csv, .jsonl or .parquet with one column for each modality, and optional
            columns `label`, `split`, `key`, `start` and `end` (seconds). A column
            `<modality>.vector` names vectors of the space that were computed before
            ("vectors.npy#12", the number of the row), in place of the modality's own.
        folders: modality → a folder; files are paired as `by` says. Folders below may be splits
            (`<split>/…`) and classes (`<split>/<class>/…`).
        shards: WebDataset tar files: a path, or a pattern with `*` or `{000..127}`.
        videos: a folder of videos with sound; each becomes as many rows as it has windows.
        by: for folders: "stem" pairs files of the same relative path but for the extension; "class"
            gives each file of the second modality all files of the first in the same class.
        columns: modality → name of its column in a manifest, or its extension in shards, where they
            differ from the modality's name.
        seconds: for videos: length of a window.
    """

    manifest: str | None = None
    folders: dict[str, str] | None = None
    shards: str | None = None
    videos: str | None = None
    by: Literal["stem", "class"] = "stem"
    columns: dict[str, str] = field(default_factory=dict)
    seconds: float = 2.0

    def __post_init__(self) -> None:
        given = [n for n in ("manifest", "folders", "shards", "videos") if getattr(self, n)]
        if len(given) != 1:
            raise ValueError(
                "expected one of manifest, folders, shards and videos, found "
                + (" and ".join(given) or "none")
            )
        if self.columns and given[0] not in ("manifest", "shards"):
            raise ValueError(f"columns: {given[0]} have none, only manifests and shards do")
        if not 0 < self.seconds < math.inf:
            raise ValueError(f"seconds: expected a length above 0, found {self.seconds}")


def name_split(name: str) -> str:
    """Bring the usual names of splits to one: "valid" and "validation" are "val"."""
    return SPLITS.get(name.lower(), name)


def read_name(value: Any) -> str | None:
    """Read a row's label or split: a word or a number, as text; None for None and "".

    Rows of one name share its text.

    Raises:
        ValueError: a list or an object; the caller says where.
    """
    if isinstance(value, list | tuple | dict):
        raise ValueError(f"expected one label or split, found {value!r:.60}")
    text = "" if value is None else str(value).strip()
    return sys.intern(text) if text else None


def read_split(value: Any) -> str | None:
    """Read a row's split as `read_name` does, under its usual name."""
    name = read_name(value)
    return None if name is None else name_split(name)


def read_span(start: Any, end: Any) -> tuple[float, float] | None:
    """Read a row's `start` and `end`: seconds, or their text; None or "" where there is none.

    Raises:
        ValueError: one without the other, not numbers, or not 0 ≤ start < end; the caller says
            where.
    """
    missing = [value is None or value == "" for value in (start, end)]
    if all(missing):
        return None
    if any(missing):
        raise ValueError(f"expected start and end or neither, found {start!r} and {end!r}")
    try:
        span = (float(start), float(end))
    except (TypeError, ValueError) as error:
        found = f"{start!r} and {end!r}"
        raise ValueError(f"expected start and end in seconds, found {found}") from error
    if not 0 <= span[0] < span[1] < math.inf:
        raise ValueError(f"expected 0 ≤ start < end, found {start} and {end}")
    return span


def choose_split(rows: Sequence[Row], split: str | None) -> list[Row]:
    """Take the rows of one split; None takes all.

    Raises:
        ConfigError: no row is of that split.
    """
    if split is None:
        return list(rows)
    name = name_split(split)
    chosen = [row for row in rows if row.split == name]
    if not chosen:
        counts = Counter(row.split or "(none said)" for row in rows)
        listed = ", ".join(f"{found}: {count} rows" for found, count in sorted(counts.items()))
        raise ConfigError(f"no rows of the split {split!r}; there are {listed or 'no rows at all'}")
    return chosen


def hold_out(rows: Sequence[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Part off some rows for validation, by a hash of their names.

    A row's side depends on its name and the seed, not on its neighbors: rows that are added later
    move no other (but that each side has at least one). Rows cut from one recording stay together.

    Args:
        rows: to part.
        share: of them to hold out, in (0, 1); what is held out differs from it by chance.
        seed: of the hash.

    Returns:
        those that stay and those held out, both in their order, neither empty.

    Raises:
        ConfigError: a share outside (0, 1), or fewer than two rows (or recordings).
    """
    if not 0 < share < 1:
        raise ConfigError(f"the share held out must be between 0 and 1, found {share}")
    names = (row.key if row.recording is None else row.recording for row in rows)
    places = np.fromiter((_place(name, seed) for name in names), np.float64, len(rows))
    if not len(rows) or places.min() == places.max():
        raise ConfigError(
            f"{len(rows)} rows of one recording or none can't be parted for validation; "
            "give more data, or a split of its own"
        )
    held = ((places < share) | (places == places.min())) & (places < places.max())
    return (
        [row for row, is_held in zip(rows, held, strict=True) if not is_held],
        [row for row, is_held in zip(rows, held, strict=True) if is_held],
    )


def _place(name: str, seed: int) -> float:
    """Return a name its place in [0, 1)."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64

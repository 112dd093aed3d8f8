"""Fixtures of the index's tests: a few media files, an index over them, a log of decoding."""

from __future__ import annotations

import os
import shutil
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

import openbind
from openbind.search.filters import (
    COLUMNS,
    FUNCTIONS,
    OPERATORS,
    And,
    Between,
    Column,
    Constant,
    Filter,
    IsNull,
    Not,
    Or,
    Within,
    compare,
    convert,
    like,
)
from openbind.search.index import Index, default_folder
from openbind.search.update import update
from openbind.space.decoding import Decoder


@pytest.fixture
def media(samples: Path, tmp_path: Path) -> Path:
    """Four images, two sounds and a broken image, in two levels, all an hour old."""
    folder = tmp_path / "media"
    (folder / "deep").mkdir(parents=True)
    for number, image in enumerate(sorted((samples / "images").iterdir())[:4]):
        shutil.copy(image, folder / f"{number}{image.suffix}")
    for number, sound in enumerate(sorted((samples / "sounds").iterdir())[:2]):
        shutil.copy(sound, folder / "deep" / f"{number}{sound.suffix}")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    return folder


@pytest.fixture
def index(starter: openbind.Space, media: Path) -> Index:
    """An index over the media, up to date."""
    made = Index.create(default_folder([media]), starter, [media])
    update(made, starter)
    return made


@pytest.fixture
def encoded(starter: openbind.Space, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """All items that are decoded from now on."""
    items: list[object] = []
    samples = Decoder.samples

    def note(decoder: Decoder, modality: str, item: object, *args: Any, **options: Any) -> object:
        items.append(item)
        return samples(decoder, modality, item, *args, **options)

    monkeypatch.setattr(Decoder, "samples", note)
    return items


def rows_by_path(index: Index) -> dict[str, np.ndarray]:
    """Return the vectors of all files, by path and segment."""
    rows, vectors_KE = index.table.read("true")
    return {f"{r.path}#{r.segment}": v for r, v in zip(rows, vectors_KE, strict=True)}


def touch(path: Path, seconds: float = 5.0) -> None:
    """Change a file's modification time."""
    status = path.stat()
    os.utime(path, (status.st_atime, status.st_mtime + seconds))


TIMES = [datetime(year, 5, 6, 23, 8, 9, 123, tzinfo=timezone.utc) for year in (1969, 2021, 2024)]
TEXTS = ["", "a.jpg", "A.JPG", "it's 100 %_ü", "b\\c"]


def columns(kind: str | None = None) -> st.SearchStrategy[Column]:
    plain = [Column(name) for name in COLUMNS]
    times = [Column(name, f) for name in COLUMNS for f in FUNCTIONS if COLUMNS[name] == "time"]
    return st.sampled_from([c for c in (*plain, *times) if kind in (None, c.kind)])


def values(column: Column) -> st.SearchStrategy[Any]:
    numbers = st.integers(-(10**30), 10**30) | st.integers(-3, 2050)
    return {
        "string": st.sampled_from(TEXTS) | st.text(max_size=9),
        "integer": numbers | st.floats(allow_nan=False, allow_infinity=False),
        "number": st.sampled_from([0, 0.1, 0.25, 2, 1e300, -3.5]),
        "time": st.sampled_from(TIMES) | st.datetimes(timezones=st.just(timezone.utc)),
        "date": st.sampled_from([t.date() for t in TIMES]) | st.dates(),
    }[column.kind]


@st.composite
def conditions(draw: st.DrawFn) -> Filter:
    column = draw(columns())
    value = values(column).map(lambda v: convert(column, v))
    kind = draw(st.sampled_from(["compare", "columns", "within", "between", "null", "like"]))
    if kind == "columns":
        other = draw(columns(column.kind))
        return compare(column, draw(st.sampled_from(OPERATORS)), other)
    if kind == "within":
        return Within(column, tuple(draw(st.lists(value, min_size=1, max_size=4))))
    if kind == "between":
        return Between(column, draw(value), draw(value))
    if kind == "null":
        return IsNull(column)
    if kind == "like" and column.kind == "string":
        pattern = "".join(draw(st.lists(st.sampled_from(["%", "_", "a", "J", ".", "ü", "'"]))))
        return like(column, pattern, draw(st.booleans()))
    return compare(column, draw(st.sampled_from(OPERATORS)), draw(value))


def trees() -> st.SearchStrategy[Filter]:
    def join(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
        parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return inner.map(Not) | parts.map(And) | parts.map(Or)

    return st.recursive(conditions() | st.booleans().map(Constant), join, max_leaves=6)


@pytest.fixture(scope="session")
def filter_trees() -> st.SearchStrategy[Filter]:
    """Filters of any shape, which `test_filters.py` runs and the other forms write and read."""
    return trees()

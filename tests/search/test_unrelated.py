"""Cosines of unrelated pairs of an index's own rows: measured, kept, used in place of a card's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from openbind.search.unrelated import (
    MIN_ROWS,
    UNRELATED,
    measure_rows,
    refine_card,
    write_unrelated,
)
from openbind.space.calibration import Unrelated
from openbind.space.card import Card
from openbind.space.vectors import unit_rows

DIM = 16


def draw(count: int, shift: float, seed: int) -> np.ndarray:
    """Unit vectors around one direction, nearer to it the larger the shift."""
    noise = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    noise[:, 0] += shift
    return unit_rows(noise)


def test_measured_pairs() -> None:
    """Rows of one source aren't paired; modalities with few rows are skipped."""
    rows = {"a": draw(120, 3, 0), "b": draw(150, 0, 1), "few": draw(MIN_ROWS - 1, 0, 2)}
    rows["a"][60:] = rows["a"][:60]  # copies
    sources = {name: np.arange(len(own)) for name, own in rows.items()}
    sources["a"] = np.arange(120) % 60
    found = {each.modalities: each for each in measure_rows(rows, sources)}
    assert set(found) == {("a", "a"), ("a", "b"), ("b", "b")}
    assert found["a", "a"].count == 120 * 118
    assert found["a", "a"].mean > found["b", "b"].mean + 0.2
    assert found["a", "a"].high < 0.99


class Rows:
    """Of an index, as far as they are read here."""

    dim = DIM

    def __init__(self, count: int) -> None:
        import pyarrow as pa

        self.rows = self
        vectors = pa.array(draw(count, 2, 4).tolist(), pa.list_(pa.float32(), DIM))
        names = ["a"] * count, [str(number) for number in range(count)]
        self.table = pa.table({"modality": names[0], "hash": names[1], "vector": vectors})

    def take_offsets(self, offsets: list[int]) -> Rows:
        made = Rows.__new__(Rows)
        made.table = self.table.take(offsets)
        return made

    def select(self, names: list[str]) -> Rows:
        made = Rows.__new__(Rows)
        made.table = self.table.select(names)
        return made

    def to_arrow(self) -> object:
        return self.table


class Store:
    """An index, as far as it is read here."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.rows, self.table = folder, count, Rows(count)


def test_kept_until_the_index_changes(tmp_path: Path) -> None:
    """Few rows: the card's. Many: their own, measured again when a fifth has been added."""
    own = Unrelated(modalities=("a", "a"), mean=0.0, deviation=0.1, high=0.3, count=9)
    other = Unrelated(modalities=("text", "a"), mean=0.0, deviation=0.1, high=0.3, count=9)
    card = Card(unrelated=(own, other))
    write_unrelated(Store(tmp_path, MIN_ROWS - 1))  # type: ignore[arg-type]
    assert refine_card(card, tmp_path) == card
    write_unrelated(Store(tmp_path, 200))  # type: ignore[arg-type]
    refined = refine_card(card, tmp_path)
    assert refined.find_unrelated("text", "a") == other
    measured = refined.find_unrelated("a", "a")
    assert measured is not None
    assert measured.mean > 0.1
    before = (tmp_path / UNRELATED).read_bytes()
    write_unrelated(Store(tmp_path, 220))  # type: ignore[arg-type]
    assert (tmp_path / UNRELATED).read_bytes() == before
    write_unrelated(Store(tmp_path, 260))  # type: ignore[arg-type]
    assert (tmp_path / UNRELATED).read_bytes() != before
    (tmp_path / UNRELATED).write_text('{"unrelated": [{"mean": 1}]}')
    assert refine_card(card, tmp_path) == card

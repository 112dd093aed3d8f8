"""A kind of task is one dataclass, which other packages add without a change here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import openbind
from openbind.evaluation.builtin import build_tasks, measure_built_in
from openbind.evaluation.collection import ItemSet
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.held_out import read_sets
from openbind.evaluation.results import Score, TaskResult
from openbind.evaluation.run import evaluate
from openbind.evaluation.suites import SUITES
from openbind.evaluation.suites.suite import Suite
from openbind.evaluation.tasks import TASKS
from openbind.evaluation.tasks.task import Side, Task


@dataclass(frozen=True, kw_only=True)
class Coherence(Task):
    """The mean cosine of all items with their mean."""

    @classmethod
    def build(cls, items: ItemSet) -> Sequence[Task]:
        """Return a task for each modality."""
        return [
            cls(
                name=f"coherence of {modality}",
                modality=modality,
                items=[item.content for item in side.items],
                settings=side.settings,
            )
            for modality, side in items.sides.items()
        ]

    def measure(self, embedder: Embedder) -> TaskResult:
        """Return the length of the mean vector."""
        rows = embedder.embed(self.modality, self.items, self.settings)
        mean_E = rows.vectors_NE[rows.require_some()].mean(axis=0)
        value = float((mean_E @ mean_E) ** 0.5)
        score = Score(task=self.name, metric="coherence", value=value, chance=0.0)
        return TaskResult(scores=[score], excluded=rows.errors)


@pytest.fixture
def added() -> Iterator[None]:
    """The kind and a suite with it, as another package or a notebook adds them."""
    suite = Suite(
        title="Some images",
        layout="*.png",
        origin="https://example.org",
        license="CC0-1.0",
        read=lambda data: (
            Coherence(name="coherence", modality="image", items=sorted(data.glob("*.png"))),
        ),
    )
    TASKS.add("coherence", Coherence)
    SUITES.add("some-images", suite)
    yield
    del TASKS.added["coherence"], SUITES.added["some-images"]


@pytest.mark.usefixtures("added")
def test_kind_from_outside(held_out: Path, tiny: openbind.Space) -> None:
    """It is measured in a suite, and on the sets that ship, beside the kinds of this project."""
    result = evaluate(tiny, "some-images", held_out)
    assert [(s.task, s.metric) for s in result.scores] == [("coherence", "coherence")]
    assert 0 < result.scores[0].value <= 1
    rooms = [held for held in read_sets(held_out) if held.title == "rooms"]
    assert "coherence of depth" in [task.name for task in build_tasks(rooms[0])]
    (measured,) = measure_built_in(Embedder(tiny), rooms).results
    assert measured.score_of("coherence of depth", "coherence") is not None
    assert measured.score_of("image → depth", "R@1") is not None


def test_take_and_without() -> None:
    """Items are kept by index or dropped by file name; texts have no file."""
    items = [Path("x/a.png"), "a.png", Path("y/b.png")]
    task = Coherence(name="c", modality="image", items=items)
    assert task.take([2, 0]).items == [items[2], items[0]]
    assert task.without({"a.png"}).items == ["a.png", Path("y/b.png")]
    assert task.without({"a.jpg"}).items == ["a.png", Path("y/b.png")]
    assert task.without({"bird"}, lambda name: name[0]).items == items[:2]
    assert Side(modality="image", items=items).take([1]).items == ["a.png"]
    assert (task.modalities(), task.learns) == (("image",), False)

"""The sample collection and its script are read as typed values, and the queries are answered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import openbind
from openbind.embedding.cache import VectorCache
from openbind.evaluation.builtin import BuiltIn, find_sets, measure_built_in
from openbind.evaluation.collection import CollectionItem, ItemSet, SetSide
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.samples import (
    MORE_QUERIES,
    NEIGHBORS,
    SampleItem,
    read_sample_set,
    read_script,
    run_script,
)

Measured = tuple[Embedder, BuiltIn]


@pytest.fixture(scope="module")
def measured(starter: openbind.Space, samples: Path, kept_folder: Path) -> Measured:
    """The collection and the held-out sets of the script, measured; without drawings."""
    space = openbind.Space(starter.config, starter.towers, starter.card, starter.folder)
    cache = VectorCache(kept_folder / "vectors.sqlite")
    embedder, script = Embedder(space, cache=cache), read_script(samples)
    sets = [held for held in find_sets() if held.title in script.sets]
    return embedder, measure_built_in(embedder, [read_sample_set(samples), *sets])


def test_content(sample_items: list[SampleItem], samples: Path) -> None:
    """A file's content is its path, a caption's its text."""
    for item in sample_items:
        content = item.content(samples)
        if item.path:
            assert content == samples / item.key
        else:
            assert content == item.key == item.title


def test_set(sample_items: list[SampleItem], samples: Path) -> None:
    """All items with label and file; files have credits."""
    sides = read_sample_set(samples).sides
    assert sum(len(side.items) for side in sides.values()) == len(sample_items)
    for side in sides.values():
        for item in side.items:
            assert item.label
            assert (item.path is None) == (item.credit is None)
            assert item.path is None or item.path.is_file()


def test_script(samples: Path) -> None:
    """There are queries in every direction and at least one sum."""
    script = read_script(samples)
    assert {(part.source, part.target) for part in script.retrieval} >= {
        ("text", "image"),
        ("text", "audio"),
        ("audio", "image"),
        ("image", "audio"),
        ("depth", "text"),
        ("imu", "text"),
        ("video", "text"),
        ("thermal", "image"),
    }
    assert script.arithmetic


def test_more_sets(samples: Path) -> None:
    """The first files of a set are queries where it has both sides."""
    items = tuple(
        CollectionItem(title=str(n), path=Path(f"/x/{n}.jpg"), pair=str(n)) for n in range(9)
    )
    held = ItemSet(title="s", sides=dict.fromkeys(("thermal", "image"), SetSide(items=items)))
    script = read_script(samples).extend([held])
    longer = {
        (part.source, part.target): len(part.queries) - len(old.queries)
        for part, old in zip(script.retrieval, read_script(samples).retrieval, strict=True)
    }
    assert longer.pop(("thermal", "image")) == MORE_QUERIES
    assert set(longer.values()) == {0}


@pytest.mark.slow
def test_alignment(measured: Measured) -> None:
    """Far above chance for trained directions."""
    cells = {(cell.query, cell.target): cell for cell in measured[1].cells}
    for direction, trained in {("audio", "image"): True, ("text", "audio"): True}.items():
        cell = cells[direction]
        assert cell.trained == trained
        assert cell.raw[0].value > 3 * cell.raw[0].chance
    scores = {
        score.task: score
        for result in measured[1].results
        for score in result.scores
        if score.metric == "accuracy"
    }
    for modality in ("depth", "imu"):
        score = scores[f"zero-shot {modality} classification"]
        assert score.value >= 2 * score.chance


def test_queries(measured: Measured, samples: Path) -> None:
    """Each query of the script has its neighbors; texts that are no items are embedded."""
    embedder, found = measured
    script = read_script(samples)
    queries = run_script(embedder, found.embedded, script, samples)
    single = [query for query in queries if len(query.parts) == 1]
    assert len(single) == sum(len(part.queries) for part in script.retrieval)
    assert all(len(query.neighbors[0].found) == NEIGHBORS for query in single)
    free = next(query for query in single if query.title == "something to eat")
    (near,) = free.neighbors
    vector_E = embedder.space.encode("text", ["something to eat"])[0]
    images = next(some for some in found.embedded if some.modality == "image")
    assert near.found[0].cosine == pytest.approx(float((images.vectors_NE @ vector_E).max()))
    files = [part for query in single for part in query.parts if part.modality != "text"]
    assert all(part.item.path for part in files)


def test_sum_of_fruit_and_birds_finds_both(measured: Measured, samples: Path) -> None:
    """An image that has both is among the nearest, and the parts aren't."""
    embedder, found = measured
    script = read_script(samples)
    queries = run_script(embedder, found.embedded, replace(script, retrieval=()), samples)
    assert len(queries) == len(script.arithmetic)
    (near,) = queries[0].neighbors
    assert "sum" in {neighbor.match for neighbor in near.found}
    assert not {n.item for n in near.found} & {part.item for part in queries[0].parts}
    assert sum(abs(part.weight) for part in queries[0].parts) == pytest.approx(1)
    assert np.all(np.diff([neighbor.cosine for neighbor in near.found]) <= 0)


def test_a_space_of_fewer_modalities(measured: Measured, samples: Path) -> None:
    """Queries of modalities that aren't there are skipped."""
    embedder, found = measured
    few = [some for some in found.embedded if some.modality in ("image", "text")]
    queries = run_script(embedder, few, read_script(samples), samples)
    assert {(q.parts[0].modality, q.neighbors[0].modality) for q in queries} == {("text", "image")}

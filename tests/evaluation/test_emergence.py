"""Cells hold what scikit-learn and scipy count, search within data sets, and fall to chance when
the pairs are shuffled.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import skew
from sklearn.metrics import average_precision_score, top_k_accuracy_score

import openbind
from openbind.errors import InputError
from openbind.evaluation.collection import CollectionItem, EmbeddedItems
from openbind.evaluation.emergence import (
    Cell,
    above_chance,
    find_trained_pairs,
    hubness,
    measure_cell,
    measure_emergence,
    modality_gap,
)
from openbind.evaluation.projection import center


def gather(modality: str, items: list[CollectionItem], vectors_NE: np.ndarray) -> EmbeddedItems:
    unit_NE = vectors_NE / np.linalg.norm(vectors_NE, axis=1, keepdims=True)
    return EmbeddedItems(
        modality=modality,
        items=tuple(items),
        vectors_NE=unit_NE.astype(np.float32),
    )


def draw_scenes(noise: float, count: int = 60) -> tuple[EmbeddedItems, EmbeddedItems]:
    """Two modalities of the same scenes, apart from each other by noise and by an offset."""
    generator = np.random.default_rng(3)
    scenes_NE = generator.normal(size=(count, 24))
    items = [
        CollectionItem(title=str(n), pair=str(n), label=f"class {n % 5}") for n in range(count)
    ]
    other_NE = scenes_NE + noise * generator.normal(size=scenes_NE.shape)
    return gather("thermal", items, scenes_NE), gather("image", items, other_NE + 1.0)


def measure(a: EmbeddedItems, b: EmbeddedItems) -> Cell:
    cell = measure_cell(a, b, False, np.random.default_rng(0))
    assert cell is not None
    return cell


def values(cell: Cell) -> dict[str, float]:
    return {score.metric: score.value for score in cell.raw}


def test_agrees_with_scikit_learn_on_scenes() -> None:
    """R@k of one answer a query is top-k accuracy; mAP is average precision, a query a time."""
    a, b = draw_scenes(noise=2.0)
    scores_QK = a.vectors_NE @ b.vectors_NE.T
    found = values(measure(a, b))
    for k in (1, 5, 10):
        expected = top_k_accuracy_score(np.arange(60), scores_QK, k=k)
        assert found[f"R@{k}"] == pytest.approx(expected)
    each = [average_precision_score(np.eye(60)[n], row) for n, row in enumerate(scores_QK)]
    assert found["mAP"] == pytest.approx(np.mean(each))
    ranks = (scores_QK > np.diag(scores_QK)[:, None]).sum(axis=1) + 1
    assert found["median rank"] == np.median(ranks)
    assert 0.05 < found["R@1"] < 0.95


def test_agrees_with_scikit_learn_on_classes() -> None:
    """Without shared scenes every item of the class is an answer."""
    a, b = draw_scenes(noise=2.0)
    b = gather(
        "image", [CollectionItem(title=i.title, label=i.label) for i in b.items], b.vectors_NE
    )
    cell = measure(a, b)
    assert [pool.relevance for pool in cell.pools] == ["class"]
    scores_QK = a.vectors_NE @ b.vectors_NE.T
    relevant_QK = np.arange(60)[:, None] % 5 == np.arange(60) % 5
    each = [average_precision_score(*pair) for pair in zip(relevant_QK, scores_QK, strict=True)]
    assert values(cell)["mAP"] == pytest.approx(np.mean(each))


def test_chance_and_control_agree() -> None:
    """Shuffled pairs give chance, for one answer a query and for many, and the real don't."""
    a, b = draw_scenes(noise=0.5)
    texts = [CollectionItem(title=item.title, label=item.label) for item in a.items]
    for query, target in [(a, b), (b, gather("text", texts, a.vectors_NE))]:
        cell = measure(query, target)
        assert above_chance(cell.raw[0])
        assert not any(map(above_chance, cell.shuffled))
        for score in cell.shuffled:
            # 100 draws of 60 queries: shares stray by 0.01; ranks are whole, and by 1 beside.
            room = 1.0 + 0.1 * score.chance if score.metric == "median rank" else 0.03
            assert score.value == pytest.approx(score.chance, abs=room)


@pytest.mark.slow
def test_chance_of_average_precision() -> None:
    """The expected mean average precision is that of many random orders."""
    generator = np.random.default_rng(1)
    a, b = draw_scenes(noise=1.0, count=12)
    b = gather(
        "image", [CollectionItem(title=i.title, label=i.label) for i in b.items], b.vectors_NE
    )
    chance = {score.metric: score.chance for score in measure(a, b).raw}
    truth_QK = np.arange(12)[:, None] % 5 == np.arange(12) % 5
    drawn = [
        average_precision_score(truth_Q, generator.random(12))
        for _ in range(300)
        for truth_Q in truth_QK
    ]
    assert chance["mAP"] == pytest.approx(np.mean(drawn), abs=0.01)


def test_centring_closes_the_gap() -> None:
    """An offset of one modality costs nothing once the means are taken off."""
    a, b = draw_scenes(noise=1.0)
    cell = measure(a, b)
    assert cell.gap > 0.5
    assert cell.centered[0].value > cell.raw[0].value
    assert modality_gap(center(a.vectors_NE), center(b.vectors_NE)) < 0.1


def test_gap_and_hubness_within_sets() -> None:
    """Items of two sets aren't compared with each other: means of the sets, by their queries."""
    big, small = draw_scenes(noise=0.5), draw_scenes(noise=2.0, count=20)
    alone = [measure(*sides) for sides in (big, small)]
    both = []
    for one, other in zip(big, small, strict=True):
        items = [*one.items, *(replace(item, set="other") for item in other.items)]
        both.append(gather(one.modality, items, np.vstack([one.vectors_NE, -other.vectors_NE])))
    found = measure(*both)
    assert [pool.queries for pool in found.pools] == [60, 20]
    assert found.gap == pytest.approx((3 * alone[0].gap + alone[1].gap) / 4)
    hubs = [cell.hubness or 0 for cell in alone]
    assert found.hubness == pytest.approx((3 * hubs[0] + hubs[1]) / 4)
    few = measure(*draw_scenes(noise=1.0, count=8))
    assert few.hubness is None


def test_gap_by_hand() -> None:
    """Opposite poles are 2 apart, a cloud is 0 from itself."""
    up_NE, down_NE = np.array([[0.0, 1.0]]), np.array([[0.0, -1.0], [0.0, -1.0]])
    assert modality_gap(up_NE, down_NE) == pytest.approx(2.0)
    assert modality_gap(down_NE, down_NE) == 0


def test_hubness_agrees_with_scipy() -> None:
    """Skewness of the counts; none where all items are always near, 0 where all equally often."""
    scores_QK = np.random.default_rng(5).normal(size=(80, 40))
    scores_QK[:, 0] += 2
    nearest_QK = np.argsort(-scores_QK, axis=1)[:, :10]
    expected = skew([(nearest_QK == item).sum() for item in range(40)])
    assert hubness(scores_QK, 10) == pytest.approx(expected)
    assert expected > 0.5
    assert hubness(np.eye(4), 1) == 0.0
    assert hubness(scores_QK[:, :10], 10) is None


def test_items_are_searched_within_their_set() -> None:
    """The nearest item of another data set is no candidate, and labels don't cross."""
    near, far = [1.0, 0.1], [0.1, 1.0]
    sounds = gather("audio", [CollectionItem(title="s", label="dog", set="a")], np.array([near]))
    images = gather(
        "image",
        [
            CollectionItem(title="p", label="dog", set="a"),
            CollectionItem(title="q", label="cat", set="b"),
        ],
        np.array([far, near]),
    )
    cell = measure(sounds, images)
    assert [(pool.set, pool.queries, pool.items) for pool in cell.pools] == [("a", 1, 1)]
    assert values(cell)["R@1"] == 1.0
    elsewhere = gather("image", [CollectionItem(title="p", label="dog", set="b")], np.array([near]))
    assert measure_cell(sounds, elsewhere, False, np.random.default_rng(0)) is None


def test_sets_count_by_their_queries() -> None:
    """Over two sets the mean is over queries, and so is chance."""
    a, b = draw_scenes(noise=0.0, count=6)
    one = gather("audio", [CollectionItem(title="x", label="dog", set="s")], np.eye(1, 24))
    many = [CollectionItem(title=f"y{n}", label="cat" if n else "dog", set="s") for n in range(3)]
    both = gather("audio", [*a.items, *one.items], np.concatenate([a.vectors_NE, one.vectors_NE]))
    to = gather(
        "image", [*b.items, *many], np.concatenate([a.vectors_NE, -np.eye(1, 24), np.eye(2, 24)])
    )
    cell = measure(both, to)
    assert [(pool.set, pool.relevance, pool.queries) for pool in cell.pools] == [
        ("", "scene", 6),
        ("s", "class", 1),
    ]
    assert cell.count == cell.raw[0].count == 7
    assert values(cell)["R@1"] == pytest.approx(6 / 7)
    assert cell.raw[0].chance == pytest.approx((6 / 6 + 1 / 3) / 7)
    # The larger pool has six items: R@10 is always 1.
    assert set(values(cell)) == {"R@1", "R@5", "mAP", "median rank"}


def test_all_pairs_both_ways() -> None:
    """Every ordered pair that has answers, marked trained in either order of the card's pair."""
    a, b = draw_scenes(noise=0.5)
    texts = gather(
        "text",
        [CollectionItem(title="w", label="class 1"), CollectionItem(title="v")],
        np.eye(2, 24),
    )
    cells = measure_emergence([a, b, texts], {("image", "thermal")}, np.random.default_rng(0))
    assert [(c.query, c.target, c.trained) for c in cells] == [
        ("thermal", "image", True),
        ("thermal", "text", False),
        ("image", "thermal", True),
        ("image", "text", False),
        ("text", "thermal", False),
        ("text", "image", False),
    ]
    assert [c.count for c in cells] == [60, 12, 60, 12, 1, 1]


def test_the_seed_decides() -> None:
    """The same seed draws the same control."""
    pair = draw_scenes(noise=0.5)
    first, again = (measure_emergence(pair, (), np.random.default_rng(7)) for _ in range(2))
    assert first == again
    assert first != measure_emergence(pair, (), np.random.default_rng(8))


def test_one_modality_once() -> None:
    """Two gatherings of one modality, or vectors of different spaces, are refused."""
    a, b = draw_scenes(noise=0.5)
    with pytest.raises(InputError, match="each modality once"):
        measure_emergence([a, a], (), np.random.default_rng(0))
    narrow = gather("text", [CollectionItem(title="x")], np.ones((1, 3)))
    with pytest.raises(InputError, match="of one space"):
        measure_emergence([a, b, narrow], (), np.random.default_rng(0))


def test_trained_pairs_are_those_of_towers(starter: openbind.Space) -> None:
    """Videos count as images: what was trained with one was trained with the other."""
    pairs = find_trained_pairs(starter)
    card = starter.card.trained_pairs
    videos = [("video", other) for first, other in card if first == "image"]
    assert ("image", "audio") in card
    assert {frozenset(pair) for pair in pairs} == {
        frozenset(pair) for pair in [*card, *videos, ("image", "video")]
    }
    assert all((b, a) in pairs for a, b in pairs)
    assert ("depth", "audio") not in pairs

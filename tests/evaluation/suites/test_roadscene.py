"""RoadScene on a look-alike in its true layout: pairs by name; training data is skipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import openbind
from openbind.errors import InputError
from openbind.evaluation.run import evaluate
from openbind.evaluation.suites.roadscene import SUITE, read_set
from openbind.evaluation.tasks.pair_retrieval import PairRetrieval
from openbind.space.card import Card, Source

NAMES = ("FLIR_00006.jpg", "FLIR_00211x.jpg", "FLIR_10000.jpg")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three pairs."""
    generator = np.random.default_rng(0)
    for side, shape in (("visible", (30, 40, 3)), ("thermal", (30, 40))):
        folder = tmp_path / "roadscene" / side
        folder.mkdir(parents=True)
        for name in NAMES:
            pixels = generator.integers(256, size=shape, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name)
    return tmp_path / "roadscene"


def test_read(data: Path) -> None:
    """Pairs by name."""
    (task,) = SUITE.read(data)
    assert isinstance(task, PairRetrieval)
    assert (task.modality, task.other.modality) == ("thermal", "image")
    assert task.items == [data / "thermal" / name for name in NAMES]
    assert task.other.items == [data / "visible" / name for name in NAMES]


@pytest.mark.slow
def test_evaluate(data: Path, tiny: openbind.Space) -> None:
    """Both directions, without text; a pair counts if both of its sides can be used."""
    result = evaluate(tiny, "roadscene", data)
    thermal, image = (
        tiny.encode(name, [data / side / image for image in NAMES])
        for name, side in (("thermal", "thermal"), ("image", "visible"))
    )
    for task, scores_QK in (("thermal → image", thermal @ image.T), ("image → thermal", None)):
        score = result.score_of(task, "R@1")
        assert score is not None
        assert score.count == 3
        assert score.chance == pytest.approx(1 / 3)
        if scores_QK is not None:
            assert score.value == (scores_QK.argmax(axis=1) == np.arange(3)).mean()
    (data / "thermal" / NAMES[0]).write_bytes(b"")
    (data / "visible" / NAMES[1]).write_bytes(b"")
    broken = evaluate(tiny, "roadscene", data)
    assert broken.scores[0].count == 1
    assert len(broken.excluded) == 2
    (data / "thermal" / NAMES[2]).write_bytes(b"")
    with pytest.raises(InputError, match="no pair"):
        evaluate(tiny, "roadscene", data)


def test_held_out(data: Path) -> None:
    """The same pairs as a set, with texts that have no label."""
    held = read_set(data)
    pairs = {name: [item.pair for item in held.sides[name].items] for name in ("image", "thermal")}
    assert pairs["image"] == pairs["thermal"] == list(NAMES)
    assert held.names == {}
    assert "a street at night with cars" in [item.title for item in held.sides["text"].items]


def test_training_data_is_skipped(
    data: Path, tiny: openbind.Space, starter: openbind.Space
) -> None:
    """Items that the card lists are in no number; with all of them listed there is nothing left."""

    def with_items(names: tuple[str, ...]) -> openbind.Space:
        source = Source(
            name="RoadScene, some pairs", use="pairs", license="", origin="", items=names
        )
        return openbind.Space(tiny.config, tiny.towers, Card(sources=(source,)))

    result = evaluate(with_items(NAMES[:1]), "roadscene", data)
    assert {score.count for score in result.scores} == {2}
    assert (result.trained_items, result.overlaps) == (1, ())
    with pytest.raises(InputError, match="trained on each"):
        evaluate(with_items(NAMES), "roadscene", data)
    listed = {source.name[:6]: source.items for source in starter.card.sources if source.items}
    assert {name: len(set(items)) for name, items in listed.items()} == {
        "ESC-50": 686,
        "FSDKag": 116,
        "Caltec": 574,
    }


def test_broken(data: Path) -> None:
    """An image without a partner is named."""
    (data / "visible" / NAMES[0]).unlink()
    with pytest.raises(InputError, match=NAMES[0]):
        SUITE.read(data)

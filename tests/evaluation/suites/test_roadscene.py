"""RoadScene on a look-alike in its true layout: only the pairs that the starter hasn't seen."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import openbind
from openbind.errors import InputError
from openbind.evaluation.run import evaluate
from openbind.evaluation.suites.roadscene import SUITE, read_held_out, seen_names
from openbind.evaluation.tasks import PairRetrieval

UNSEEN = ("FLIR_00006.jpg", "FLIR_00211x.jpg", "FLIR_10000.jpg")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three pairs that are new to the starter, and one that isn't."""
    generator = np.random.default_rng(0)
    for side, shape in (("visible", (30, 40, 3)), ("thermal", (30, 40))):
        folder = tmp_path / "roadscene" / side
        folder.mkdir(parents=True)
        for name in (*UNSEEN, "FLIR_00018.jpg"):
            pixels = generator.integers(256, size=shape, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name)
    return tmp_path / "roadscene"


def test_seen() -> None:
    """160 names, those of videos among them."""
    names = seen_names()
    assert len(names) == 160
    assert {"FLIR_00018.jpg", "FLIR_video_04215.jpg"} <= names


def test_read(data: Path) -> None:
    """Pairs by name; what the starter has seen isn't asked."""
    (task,) = SUITE.read(data)
    assert isinstance(task, PairRetrieval)
    assert (task.modality, task.other.modality) == ("thermal", "image")
    assert task.paths == [data / "thermal" / name for name in UNSEEN]
    assert task.other.paths == [data / "visible" / name for name in UNSEEN]


def test_evaluate(data: Path, tiny: openbind.Space) -> None:
    """Both directions, without words; a pair counts if both of its sides can be used."""
    result = evaluate(tiny, "roadscene", data)
    thermal, image = (
        tiny.encode(name, [data / side / image for image in UNSEEN])
        for name, side in (("thermal", "thermal"), ("image", "visible"))
    )
    for task, scores_QK in (("thermal → image", thermal @ image.T), ("image → thermal", None)):
        score = result.score_of(task, "R@1")
        assert score is not None
        assert score.count == 3
        assert score.chance == pytest.approx(1 / 3)
        if scores_QK is not None:
            assert score.value == (scores_QK.argmax(axis=1) == np.arange(3)).mean()
    (data / "thermal" / UNSEEN[0]).write_bytes(b"")
    (data / "visible" / UNSEEN[1]).write_bytes(b"")
    broken = evaluate(tiny, "roadscene", data)
    assert broken.scores[0].count == 1
    assert len(broken.excluded) == 2
    (data / "thermal" / UNSEEN[2]).write_bytes(b"")
    with pytest.raises(InputError, match="of no pair both sides could be used"):
        evaluate(tiny, "roadscene", data)


def test_held_out(data: Path) -> None:
    """The same pairs as a set, with words that are in no number."""
    held = read_held_out(data)
    pairs = {name: [item.pair for item in held.sides[name].items] for name in ("image", "thermal")}
    assert pairs["image"] == pairs["thermal"] == list(UNSEEN)
    assert held.names == {}
    assert "a street at night with cars" in [item.title for item in held.sides["text"].items]


def test_broken(data: Path) -> None:
    """A image alone, and a folder of nothing but the starter's own pairs."""
    shutil.rmtree(data / "visible")
    (data / "visible").mkdir()
    shutil.copy(data / "thermal" / "FLIR_00018.jpg", data / "visible")
    with pytest.raises(InputError, match=r"FLIR_00006.jpg is in only one of visible and thermal"):
        SUITE.read(data)
    for name in UNSEEN:
        (data / "thermal" / name).unlink()
    with pytest.raises(InputError, match="trained on each of the 1 pairs"):
        SUITE.read(data)

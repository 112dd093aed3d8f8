"""The pointing game on colors: a space that knows them points right, the control doesn't."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import openbind
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.held_out import held_out_folder
from openbind.evaluation.samples import samples_folder
from openbind.evaluation.tasks.mosaics import (
    SHOWN,
    SHOWN_SIDE,
    TILE,
    Mosaics,
    Queries,
    area_under_curve,
    compose,
)


def test_compose(tmp_path: Path) -> None:
    """Middle squares, row by row."""
    paths = []
    for number in range(4):
        image = Image.new("RGB", (60, 20), "white")
        image.paste((60 * number, 0, 0), (20, 0, 40, 20))
        paths.append(tmp_path / f"{number}.png")
        image.save(paths[-1])
    mosaic = np.asarray(compose(paths, 2))
    assert mosaic.shape == (2 * TILE, 2 * TILE, 3)
    assert mosaic[TILE // 2, TILE // 2, 0] == 0
    assert mosaic[3 * TILE // 2, TILE // 2, 0] == 120


def test_area_under_curve() -> None:
    """1 if all are above, a half for ties."""
    ones, zeros = np.ones(3), np.zeros(2)
    assert area_under_curve(ones, zeros) == 1
    assert area_under_curve(zeros, zeros) == 0.5


def test_pointing() -> None:
    """Photographs by their names, beside chance and queries of other things."""
    folder = samples_folder() / "images"
    names = {"114-cat.webp": "a cat", "115-coffee.webp": "a cup of coffee"}
    names |= {"228-panda.webp": "a panda", "121-flower.webp": "a flower"}
    names |= {"225-windmill.webp": "a windmill"}
    task = Mosaics(
        name="mosaics",
        modality="image",
        items=[folder / name for name in names],
        keys=list(names.values()),
        queries={
            "text": Queries(modality="text", items=list(names.values()), keys=list(names.values())),
            "smell": Queries(modality="smell", items=[], keys=[]),
        },
        count=3,
    )
    embedder = Embedder(openbind.load("starter", modalities=["image", "text"]))
    result = task.measure(embedder)
    scores = {score.metric: score for score in result.scores}
    assert scores["pointing"].chance == 0.25
    assert scores["pointing"].count == 12
    assert scores["pointing"].value >= 0.75
    assert scores["pointing, shuffled"].value < 0.6
    assert scores["rejection AUC"].value > 0.6
    assert held_out_folder().exists()
    assert len(result.located) == SHOWN
    for one in result.located:
        assert one.modality == "text"
        assert one.label in names.values()
        assert one.image.size == (SHOWN_SIDE, SHOWN_SIDE)
    assert sum(one.hit for one in result.located) >= 2


def test_items_can_be_dropped() -> None:
    """As for every task: trained items go."""
    task = Mosaics(
        name="m",
        modality="image",
        items=[Path("a.png"), Path("b.png")],
        keys=["a", "b"],
        queries={},
    )
    assert task.without({"a.png"}).keys == ["b"]
    assert pytest.approx(task.side) == 2

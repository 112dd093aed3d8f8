"""The sets that ship: their tasks, the spaces that can do them, and the numbers."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import openbind
from openbind.embedding.cache import VectorCache
from openbind.errors import ConfigError, InputError
from openbind.evaluation.builtin import (
    build_tasks,
    find_sets,
    gather,
    measure_built_in,
    read_on_disk,
)
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.emergence import above_chance
from openbind.evaluation.held_out import held_out_folder, read_sets
from openbind.evaluation.tasks.classification import Classification
from openbind.evaluation.tasks.drawing import Drawing
from openbind.evaluation.tasks.pair_retrieval import PairRetrieval
from openbind.space.card import Card, Source


def test_tasks(held_out: Path) -> None:
    """Classes that have texts and items; pairs of the same scene."""
    motion, rooms, noise = (build_tasks(held) for held in read_sets(held_out))
    (named,) = motion
    assert isinstance(named, Classification)
    assert (named.modality, list(named.targets)) == ("imu", [(0,), (1,), (0,), (1,)])
    assert named.classes == [("a walking",), ("a standing",)]
    images, depths, pairs = (task for task in rooms if not isinstance(task, Drawing))
    drawn = {task.modality for task in rooms if isinstance(task, Drawing)}
    assert drawn == {"text", "depth"}
    assert isinstance(images, Classification)
    assert isinstance(depths, Classification)
    assert images.classes == depths.classes == [("a kitchen",), ("a bedroom",)]
    assert isinstance(pairs, PairRetrieval)
    assert (pairs.modality, pairs.other.modality) == ("image", "depth")
    stems = [[Path(str(path)).stem for path in side] for side in (pairs.items, pairs.other.items)]
    assert stems[0] == stems[1] == ["0", "1", "2", "3"]
    assert noise == []


@pytest.mark.slow
def test_six_modalities(held_out: Path, tiny: openbind.Space, kept: VectorCache) -> None:
    """Every modality is embedded, and numbers are those of the vectors.

    Texts of a set are not put into prompts; its depth is in millimetres, as in its table.
    """
    found = measure_built_in(Embedder(tiny, cache=kept), read_sets(held_out))
    assert [some.modality for some in found.embedded] == [
        name for name in tiny.modalities if name in {"image", "text", "audio", "depth", "imu"}
    ]
    motion, rooms = found.results
    accuracy = motion.score_of("zero-shot imu classification", "accuracy")
    assert accuracy is not None
    words_KE = tiny.encode("text", ["a walking", "a standing"])
    scores_QK = tiny.encode("imu", [held_out / f"{n}.csv" for n in range(4)]) @ words_KE.T
    assert accuracy.value == (scores_QK.argmax(axis=1) == [0, 1, 0, 1]).mean()
    pairs_NN = tiny.encode("image", [held_out / f"{n}.png" for n in range(4)])
    measuring = tiny.with_settings("depth", units="millimetres")
    depths_NE = measuring.encode("depth", [held_out / f"{n}.npy" for n in range(4)])
    (embedded,) = [some for some in found.embedded if some.modality == "depth"]
    np.testing.assert_allclose(embedded.vectors_NE, depths_NE, atol=1e-5)
    pairs_NN = pairs_NN @ depths_NE.T
    first = rooms.score_of("image → depth", "R@1")
    assert first is not None
    assert first.value == (pairs_NN.argmax(axis=1) == np.arange(4)).mean()
    assert (first.chance, first.count) == (0.25, 4)
    assert rooms.score_of("depth → image", "R@1") is not None


def test_modalities_that_a_space_lacks(held_out: Path) -> None:
    """They are reported, the others are measured; with fewer than two nothing can be."""
    space = openbind.load("tiny", weights="random", modalities=["text", "image"])
    found = measure_built_in(Embedder(space), read_sets(held_out))
    (rooms,) = found.results
    lacking = {"zero-shot depth classification", "image ↔ depth", "drawing from depth"}
    assert rooms.skipped.keys() == lacking
    (warning,) = found.warnings
    assert warning.startswith("zero-shot imu classification: motion needs imu")
    alone = openbind.load("tiny", weights="random", modalities=["imu"])
    with pytest.raises(ConfigError, match="two of imu, text, image"):
        measure_built_in(Embedder(alone), read_sets(held_out))


def test_broken_items(
    held_out: Path, tmp_path: Path, tiny: openbind.Space, kept: VectorCache
) -> None:
    """A file that can't be read is excluded, and named once."""
    folder = shutil.copytree(held_out, tmp_path / "broken")
    (folder / "0.npy").write_bytes(b"broken")
    sets = read_sets(folder)
    _, rooms = measure_built_in(Embedder(tiny, cache=kept), sets).results
    assert list(rooms.excluded) == [(folder / "0.npy").resolve().as_posix()]
    counts = {score.task: score.count for score in rooms.scores}
    assert (counts["zero-shot depth classification"], counts["image → depth"]) == (3, 3)
    some = gather(Embedder(tiny, cache=kept), "depth", sets)
    assert some is not None
    assert [item.title for item in some.items] == ["1.npy", "2.npy", "3.npy"]


def test_second_run_encodes_nothing(
    held_out: Path, tiny: openbind.Space, kept: VectorCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a cache a second run is the same without towers."""
    # Settings of a set's own make another space, whose fingerprint looks at the towers again.
    sets = [held for held in read_sets(held_out) if held.title == "motion"]
    first = measure_built_in(Embedder(tiny, cache=kept), sets)
    monkeypatch.setattr(tiny, "towers", {})
    assert measure_built_in(Embedder(tiny, cache=kept), sets).results == first.results


@pytest.mark.parametrize(
    ("name", "origin", "warned"),
    [
        ("motion", "a paper", True),
        ("Motions", "motion of noise 1.2 (made)", True),
        ("motion, training split", "a paper", True),
        ("noise", "elsewhere", False),
    ],
)
def test_overlaps(
    held_out: Path, tiny: openbind.Space, kept: VectorCache, name: str, origin: str, warned: bool
) -> None:
    """Sources in the card that the set's name or data match are reported."""
    source = Source(name=name, use="pairs", license="CC0-1.0", origin=origin)
    space = openbind.Space(tiny.config, tiny.towers, Card(sources=(source,)))
    motion = measure_built_in(Embedder(space, cache=kept), read_sets(held_out)).results[0]
    assert motion.overlaps == ((name,) if warned else ())


def test_shipped(starter: openbind.Space) -> None:
    """What ships can all be read; audio and text are aligned."""
    sets = read_sets(held_out_folder())
    things = [held for held in sets if held.title == "single things"]
    own = [
        replace(held, sides={name: held.sides[name] for name in ("audio", "text")})
        for held in things
    ]
    found = measure_built_in(Embedder(starter), own)
    (result,) = found.results
    assert result.excluded == {}
    assert result.overlaps == ()
    assert all(above_chance(cell.raw[0]) for cell in found.cells)
    assert all(abs(cell.shuffled[0].value - cell.shuffled[0].chance) < 0.03 for cell in found.cells)


def test_on_disk(tmp_path: Path, tiny: openbind.Space) -> None:
    """A folder without a known set is refused; items that were trained on are skipped."""
    assert [held.title for held in find_sets()][:2] == ["single things", "BasicMotions, test split"]
    with pytest.raises(InputError, match="expected a folder roadscene in it"):
        find_sets(tmp_path)
    pairs = tmp_path / "roadscene"
    for side in ("visible", "thermal"):
        (pairs / side).mkdir(parents=True)
        for name in ("FLIR_00006.jpg", "FLIR_00018.jpg"):
            Image.new("L", (32, 32)).save(pairs / side / name)
    (held,) = read_on_disk(tmp_path)
    listed = Source(
        name="RoadScene, 1 pair", use="", license="", origin="", items=("FLIR_00018.jpg",)
    )
    space = openbind.Space(tiny.config, tiny.towers, Card(sources=(listed,)))
    (result,) = measure_built_in(Embedder(space), [held]).results
    assert {score.count for score in result.scores} == {1}
    assert (result.trained_items, result.overlaps) == (2, ())


def test_nothing_unseen(
    held_out: Path, tmp_path: Path, tiny: openbind.Space, kept: VectorCache
) -> None:
    """A set whose items were all trained on is left out, and said so; the others are measured."""
    for side in ("visible", "thermal"):
        (tmp_path / "roadscene" / side).mkdir(parents=True)
        Image.new("L", (32, 32)).save(tmp_path / "roadscene" / side / "a.jpg")
    listed = Source(name="RoadScene", use="", license="", origin="", items=("a.jpg",))
    space = openbind.Space(tiny.config, tiny.towers, Card(sources=(listed,)))
    sets = [*read_sets(held_out), *read_on_disk(tmp_path)]
    found = measure_built_in(Embedder(space, cache=kept), sets)
    assert [result.suite for result in found.results] == ["motion", "rooms"]
    assert found.warnings == (f"RoadScene: {space.name} was trained on its items",)

"""A made-up sensor is bound to another library's model, and found by text that never met it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import openbind
from openbind.errors import ConfigError
from openbind.modalities import MODALITIES
from openbind.training.optimization import Schedule
from openbind.training.recipe import Recipe
from openbind.training.recipe_file import read_recipe, write_recipe
from openbind.training.run import train
from openbind.training.towers import TowerPlan
from tests import tiny_anchors

pytest.importorskip("sentence_transformers", reason="the extra st isn't installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of other libraries

EXAMPLE = Path(__file__).parents[2] / "examples" / "seventh_modality.py"
NAMES = list(tiny_anchors.COLORS)
READINGS = 12
"""Of each color, for training; others are found."""


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP that knows the names of colors."""
    return tiny_anchors.write_clip(tmp_path_factory.mktemp("anchor"), steps=40)


@pytest.fixture(scope="module")
def nose() -> Iterator[ModuleType]:
    """The example's sensor, registered."""
    spec = importlib.util.spec_from_file_location("nose_on_anchor", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nose_on_anchor"] = module
    spec.loader.exec_module(module)
    yield module
    del MODALITIES.added["smell"]
    del sys.modules["nose_on_anchor"]


def write_pairs(nose: ModuleType, folder: Path, shuffled: bool) -> None:
    """Write readings and images of colors; shuffled, each reading has the image of any color."""
    folder.mkdir()
    colors = [name for name in NAMES for _ in range(READINGS)]
    seen = np.random.default_rng(3).permutation(colors) if shuffled else np.array(colors)
    lines = ["smell,image,label"]
    for index, (color, shown) in enumerate(zip(colors, seen, strict=True)):
        np.save(folder / f"{index}.npy", nose.smell(color, index))
        tiny_anchors.draw(str(shown), index).save(folder / f"{index}.png")
        lines.append(f"{index}.npy,{index}.png,{shown}")
    (folder / "pairs.csv").write_text("\n".join(lines) + "\n")


def make_recipe(nose: ModuleType, anchor: Path) -> Recipe:
    return replace(
        nose.RECIPE,
        start=f"st:{anchor}",
        batch_size=24,
        schedule=Schedule(lr=2e-3, steps=60, warmup_steps=5),
    )


def accuracy(nose: ModuleType, space: openbind.Space) -> float:
    """Name new readings of each color by text."""
    new = [nose.smell(name, 1_000 + index) for name in NAMES for index in range(10)]
    found = space.encode("smell", new) @ space.encode("text", NAMES).T
    return float((found.argmax(axis=1) == np.repeat(np.arange(len(NAMES)), 10)).mean())


@pytest.mark.slow
def test_found_by_text(nose: ModuleType, anchor: Path, tmp_path: Path) -> None:
    """True pairs bind the sensor, to text too; shuffled pairs stay at chance, 1 of 6."""
    found = {}
    for shuffled in (False, True):
        data = tmp_path / f"data-{shuffled}"
        write_pairs(nose, data, shuffled)
        run = train(make_recipe(nose, anchor), data, tmp_path / f"run-{shuffled}")
        space = openbind.load(str(run), device="cpu")
        assert space.modalities == ("image", "text", "smell")
        assert ("text", "smell") not in space.card.trained_pairs
        found[shuffled] = accuracy(nose, space)
    assert found[False] >= 0.8
    assert found[True] <= 0.4
    weights = (tmp_path / "run-False" / "space").glob("*.safetensors")
    assert [path.name for path in weights] == ["smell.safetensors"]
    assert space.card.license == "apache-2.0"


def test_settings_in_a_recipe(nose: ModuleType, anchor: Path, tmp_path: Path) -> None:
    """Prompts and truncation are keys of the recipe, and part of the result."""
    data = tmp_path / "data"
    write_pairs(nose, data, shuffled=False)
    values = write_recipe(replace(make_recipe(nose, anchor), schedule=Schedule(lr=1e-3, steps=1)))
    (tmp_path / "recipe.yaml").write_text(values)
    recipe = read_recipe(tmp_path / "recipe.yaml", {"anchor": "{truncate_dim: 8}"})
    space = openbind.load(str(train(recipe, data, tmp_path / "run")), device="cpu")
    assert space.encode("smell", nose.smell("red", 0)).shape == (8,)
    assert space.encode("text", ["red"]).shape == (1, 8)


def test_the_anchor_is_never_trained(nose: ModuleType, anchor: Path, tmp_path: Path) -> None:
    """A tower that isn't ours can't be tuned; another width than the anchor's is refused."""
    data = tmp_path / "data"
    write_pairs(nose, data, shuffled=False)
    recipe = make_recipe(nose, anchor)
    wide = replace(recipe.towers["smell"], config={**recipe.towers["smell"].config,
                                                   "head": {"embed_dim": 99}})  # fmt: skip
    with pytest.raises(ConfigError, match="16 dimensions"):
        train(replace(recipe, towers={"smell": wide}), data, tmp_path / "wide")
    tuned = replace(
        recipe,
        pairs=(replace(recipe.pairs[0], pair=("image", "text")),),
        towers={"text": TowerPlan(start="space")},
    )
    with pytest.raises(ConfigError, match="another model's"):
        train(tuned, data, tmp_path / "tuned")


def test_located_by_the_sensor(nose: ModuleType, tmp_path: Path) -> None:
    """Bound to a model whose patches are in its space, a reading is located in images."""
    data = tmp_path / "data"
    write_pairs(nose, data, shuffled=False)
    anchor = tiny_anchors.write_tipsv2(tmp_path / "tipsv2")
    recipe = replace(
        make_recipe(nose, anchor),
        start=f"tipsv2:{anchor}",
        schedule=Schedule(lr=2e-3, steps=2, warmup_steps=1),
    )
    space = openbind.load(str(train(recipe, data, tmp_path / "run")), device="cpu")
    assert space.modalities == ("image", "text", "smell")
    image = tiny_anchors.draw("red", 1, (60, 40))
    found = space.locate(image, space.encode("smell", nose.smell("red", 0)))
    assert found.heat.shape == (4, 4)
    assert np.ptp(found.heat) > 0

"""A recipe is validated before anything starts; every mistake is named by its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from openbind.errors import ConfigError, UnknownNameError
from openbind.modalities import MODALITIES
from openbind.training.recipe_file import parse_yaml, read_recipe, write_recipe


def test_round_trip(world: Any, tmp_path: Path) -> None:
    """What is written, all defaults included, is read back equal."""
    recipe = read_recipe(world.recipe)
    (tmp_path / "again.yaml").write_text(write_recipe(recipe))
    assert read_recipe(tmp_path / "again.yaml") == recipe


def test_changes(world: Any) -> None:
    """Values are changed by their place, in lists and in mappings that weren't there."""
    recipe = read_recipe(
        world.recipe,
        {"schedule.lr": "1e-4", "pairs.0.temperature": "0.5", "hardware.num_workers": "3"},
    )
    assert recipe.schedule.lr == 1e-4
    assert recipe.pairs[0].temperature == 0.5
    assert recipe.hardware.num_workers == 3


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("shedule", "1", r"shedule: unknown key; did you mean 'schedule'"),
        ("schedule.l", "1", r"schedule\.l: unknown key; did you mean 'lr'"),
        ("pairs.0.temprature", "1", r"pairs\[0\]\.temprature: unknown key; .*'temperature'"),
        ("pairs.0.data.manifst", "a", r"pairs\[0\]\.data\.manifst: unknown .*'manifest'"),
        ("pairs.0.views", "{crops: [0, 1]}", r"views\.crops: unknown key; did you mean 'crop'"),
        ("pairs.0.temperature", "-1", r"temperature and repeat must be greater than 0"),
        ("pairs.0.pair", "[image, image]", r"expected two modalities, found 'image' twice"),
        ("pairs.0.validation", "1.5", r"validation: expected a share in \(0, 1\)"),
        ("pairs.0.negatives", "0", r"negatives: expected 'batch', 'corpus' or a number"),
        ("pairs.0.augment", "{audio: []}", r"augment\.audio: the pair is \['image', 'imu'\]"),
        (
            "pairs.0.extra_negatives",
            "{manifest: a.csv}",
            r"with negatives: batch",
        ),
        ("pairs.3.loss", "sigmoid", r"pairs\.3\.loss: expected a number below 1, found '3'"),
        ("pairs", "[]", r"pairs: expected at least one"),
        ("towers", "{}", r"towers\.imu: missing, though a pair trains it"),
        ("towers.audio", "{size: tiny}", r"towers\.audio: no pair trains it"),
        ("batch_size", "1", r"a contrast needs at least 2 rows"),
        ("batch_size", "many", r"batch_size: expected int, found 'many'"),
        ("name", "a/b", r"name: expected letters"),
        ("schedule.epochs", "3", r"exactly one of epochs and steps"),
        ("hardware.precision", "int8", r"precision: expected one of \['float32', 'bfloat16'\]"),
        ("modules", "[nothing.py]", r"modules: no file .*nothing\.py"),
        ("modules", "5", r"modules: expected a list of files, found 5"),
        ("pairs.0.augment", "{image: [frequency_mask]}", r"augment\.image: .* works on tensors"),
    ],
)
def test_mistakes(world: Any, key: str, value: str, message: str) -> None:
    """A mistake is refused with the file, the place and what is meant instead."""
    with pytest.raises(ConfigError, match=rf"recipe\.yaml: .*{message}"):
        read_recipe(world.recipe, {key: value})


def test_unknown_names(world: Any) -> None:
    """Names of modalities and operations are looked up; the nearest is suggested."""
    with pytest.raises((UnknownNameError, ConfigError), match="'imu'"):
        read_recipe(world.recipe, {"pairs.0.pair": "[image, imo]", "towers": "{imo: {size: tiny}}"})
    with pytest.raises((UnknownNameError, ConfigError), match="axis_noise"):
        read_recipe(world.recipe, {"pairs.0.augment": "{imu: [axis_nose]}"})


def test_yaml() -> None:
    """Exponents are numbers; a key given twice, code and broken YAML are refused."""
    assert parse_yaml("[1e-3, 2E5, 1.5e+2, -1e3, 12, e3, 1_0.5]") == [
        1e-3,
        2e5,
        150.0,
        -1000.0,
        12,
        "e3",
        10.5,
    ]
    with pytest.raises(ConfigError, match="'a' is given twice in the mapping at line 2"):
        parse_yaml("# first\na: 1\nb: 2\na: 3")
    with pytest.raises(ConfigError, match="not readable as YAML"):
        parse_yaml("!!python/object/apply:os.system ['true']")
    with pytest.raises(ConfigError, match="not readable as YAML"):
        parse_yaml("a: [1")


def test_no_file(tmp_path: Path) -> None:
    """A recipe that isn't there, or no text, is named."""
    with pytest.raises(ConfigError, match=r"none\.yaml: can't be read"):
        read_recipe(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"bytes\.yaml: can't be read"):
        read_recipe(tmp_path / "bytes.yaml")


MODULE = """
from openbind.modalities import MODALITIES
from openbind.modalities.imu import MODALITY
from dataclasses import replace

MODALITIES.add("wobble", replace(MODALITY, name="wobble", tower="wobble"))
"""


def test_modules(world: Any, tmp_path: Path) -> None:
    """A recipe's own file runs before names are looked up, from beside the recipe."""
    (tmp_path / "wobble_sensor.py").write_text(MODULE)
    text = world.recipe.read_text().replace("imu", "wobble")
    (tmp_path / "recipe.yaml").write_text(text + "modules: [wobble_sensor.py]\n")
    assert read_recipe(tmp_path / "recipe.yaml").pairs[0].pair == ("image", "wobble")
    assert MODALITIES.get("wobble").tower == "wobble"
    del MODALITIES.added["wobble"]

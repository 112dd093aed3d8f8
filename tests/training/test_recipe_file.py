"""A recipe is validated before anything starts; every mistake is reported by its key."""

from __future__ import annotations

import colorsys
import pickle
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from openbind.data.sources import SOURCES
from openbind.errors import ConfigError, UnknownNameError
from openbind.modalities import MODALITIES
from openbind.training.recipe_file import parse_yaml, read_recipe, write_recipe


def test_round_trip(world: Any, tmp_path: Path) -> None:
    """A written recipe, with all defaults, is read back equal."""
    recipe = read_recipe(world.recipe)
    (tmp_path / "again.yaml").write_text(write_recipe(recipe))
    assert read_recipe(tmp_path / "again.yaml") == recipe


def test_changes(world: Any) -> None:
    """Values are changed by their key, in lists and in mappings that the file lacks."""
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
        ("pairs[0].temprature", "1", r"pairs\[0\]\.temprature: unknown key; .*'temperature'"),
        ("pairs[1].loss", "sigmoid", r"pairs\[1\]\.loss: expected an index below 1, found '1'"),
        ("pairs.0.loss", "gram", r"third: the other frozen modality of loss: gram"),
        ("pairs.0.third", "text", r"third: the other frozen modality of loss: gram"),
        ("logging.patience", "0", r"patience: expected at least 1"),
        ("pairs.0.temprature", "1", r"pairs\[0\]\.temprature: unknown key; .*'temperature'"),
        ("pairs.0.data.manifst", "a", r"pairs\[0\]\.data\.manifst: unknown .*'manifest'"),
        ("pairs.0.views", "{crops: [0, 1]}", r"views\.crops: unknown key; did you mean 'crop'"),
        ("pairs.0.temperature", "-1", r"temperature and repeat must be greater than 0"),
        ("pairs.0.pair", "[image, image]", r"expected two modalities, found 'image' twice"),
        ("pairs.0.validation", "1.5", r"validation: .* \(0, 1\)"),
        ("pairs.0.negatives", "0", r"negatives: expected 'batch', 'corpus' or a number"),
        ("pairs.0.augment", "{audio: []}", r"augment\.audio: the pair is \['image', 'imu'\]"),
        (
            "pairs.0.extra_negatives",
            "{manifest: a.csv}",
            r"with negatives: batch",
        ),
        ("pairs.0.batch_size", "1", r"batch_size: expected at least 2"),
        ("pairs.0.similar", "1.0", r"similar: expected a cosine in \(0, 1\)"),
        ("pairs.0.keep", "{classes: {manifest: a.csv}, weight: 0}", r"weight: .* above 0"),
        ("pairs.0.keep", "{weight: 1}", r"keep\.classes: missing"),
        ("each_step", "both", r"each_step: expected one of \['one', 'all'\]"),
        ("towers.imu.learned", "0.5", r"learned: .* only with train: head"),
        ("schedule.lr_factors", "{head: -1}", r"lr_factors: head: expected above 0"),
        ("pairs.3.loss", "sigmoid", r"pairs\.3\.loss: expected an index below 1, found '3'"),
        ("pairs", "[]", r"pairs: expected at least one"),
        ("towers", "{}", r"towers\.imu: missing, though a pair trains it"),
        ("towers.audio", "{size: tiny}", r"towers\.audio: no pair trains it"),
        ("batch_size", "1", r"batch_size: expected at least 2"),
        ("batch_size", "many", r"batch_size: expected int, found 'many'"),
        ("name", "a/b", r"name: expected letters"),
        ("schedule.epochs", "3", r"exactly one of epochs and steps"),
        ("hardware.precision", "int8", r"precision: expected one of \['float32', 'bfloat16'\]"),
        ("modules", "[nothing.py]", r"modules: no file .*nothing\.py"),
        ("modules", "5", r"modules: expected a list, found 5"),
        ("pairs.0.augment", "{image: [frequency_mask]}", r"augment\.image: .* works on tensors"),
    ],
)
def test_mistakes(world: Any, key: str, value: str, message: str) -> None:
    """A mistake is refused with the file, the key and the nearest name."""
    with pytest.raises(ConfigError, match=rf"recipe\.yaml: .*{message}"):
        read_recipe(world.recipe, {key: value})


def test_unknown_names(world: Any) -> None:
    """Modalities and operations are looked up; the nearest name is suggested."""
    with pytest.raises((UnknownNameError, ConfigError), match="'imu'"):
        read_recipe(world.recipe, {"pairs.0.pair": "[image, imo]", "towers": "{imo: {size: tiny}}"})
    with pytest.raises((UnknownNameError, ConfigError), match="axis_noise"):
        read_recipe(world.recipe, {"pairs.0.augment": "{imu: [axis_nose]}"})


def test_yaml() -> None:
    """Exponents are numbers; repeated keys, code and broken YAML are refused."""
    assert parse_yaml("[1e-3, 2E5, 1.5e+2, -1e3, 12, e3, 1_0.5]") == [
        1e-3,
        2e5,
        150.0,
        -1000.0,
        12,
        "e3",
        10.5,
    ]
    with pytest.raises(ConfigError, match="'a' is repeated in the mapping at line 2"):
        parse_yaml("# first\na: 1\nb: 2\na: 3")
    with pytest.raises(ConfigError, match="not readable as YAML"):
        parse_yaml("!!python/object/apply:os.system ['true']")
    with pytest.raises(ConfigError, match="not readable as YAML"):
        parse_yaml("a: [1")


LAUGHS = "start: [" + ", ".join(
    f"&a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'lol'}]" for n in range(9)
)


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS + "]",
        f"{LAUGHS}]\nname: x",
        "start: &a [*a]",
        "a: &a {b: *a}",
        "[" * 100_000,
        "{" * 100_000,
        "a: " + "1" * 5_000,
        "a: [" + "1," * 20_000 + "]",
        "a: " + "x" * 200_000,
        "? [1]\n: 2",
        "\ud800",
        "? " + "x" * 5_000 + "\n: 1\n? " + "x" * 5_000 + "\n: 1",
    ],
)
def test_yaml_of_others(tmp_path: Path, text: str) -> None:
    """Aliases, depth and length are bounded, and so is the error."""
    start = time.process_time()
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text)
    assert len(str(caught.value)) < 1_000
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(ConfigError) as caught:
        read_recipe(tmp_path / "recipe.yaml")
    assert len(str(caught.value)) < 1_000
    assert time.process_time() - start < 30


@pytest.mark.parametrize("name", ["..", ".", "../x", "", "-x", "x" * 101])
def test_names_of_recipes(world: Any, name: str) -> None:
    """A name is no path."""
    with pytest.raises(ConfigError, match="name: expected"):
        read_recipe(world.recipe, {"name": f"'{name}'"})


def test_no_file(tmp_path: Path) -> None:
    """A missing recipe, or one that isn't text, is named."""
    with pytest.raises(ConfigError, match=r"none\.yaml: can't be read"):
        read_recipe(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"bytes\.yaml: can't be read"):
        read_recipe(tmp_path / "bytes.yaml")


MODULE = """
from openbind.data.sources import SOURCES, PairSource
from openbind.modalities import MODALITIES
from openbind.modalities.imu import MODALITY
from dataclasses import dataclass, replace

MODALITIES.add("wobble", replace(MODALITY, name="wobble", tower="wobble"))


@dataclass(frozen=True)
class Wobbles(PairSource):
    wobbles: str

    def read(self, pair, root):
        raise NotImplementedError

SOURCES.add("wobbles", Wobbles)
"""


SHADOW = """
from dataclasses import dataclass
from pathlib import Path

with Path(__file__).with_name("runs.txt").open("a") as file:
    file.write("x")

@dataclass
class Picklable:
    value: int
"""


def test_modules_are_private(world: Any, tmp_path: Path) -> None:
    """A module of a recipe replaces no other, runs once, after the recipe is validated."""
    (tmp_path / "colorsys.py").write_text(SHADOW)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(world.recipe.read_text() + "modules: [colorsys.py]\n")
    with pytest.raises(ConfigError, match="batch_size"):
        read_recipe(recipe, {"batch_size": "1"})
    assert not (tmp_path / "runs.txt").exists()
    for _ in range(2):
        read_recipe(recipe)
    assert (tmp_path / "runs.txt").read_text() == "x"
    assert sys.modules["colorsys"] is colorsys
    (name,) = (name for name, m in sys.modules.items() if m.__dict__.get("Picklable") is not None)
    thing = sys.modules[name].Picklable(3)
    assert pickle.loads(pickle.dumps(thing)) == thing


def test_failing_module(world: Any, tmp_path: Path) -> None:
    """A module that fails is imported again the next time."""
    (tmp_path / "failing.py").write_text("raise RuntimeError('at import')")
    (tmp_path / "recipe.yaml").write_text(world.recipe.read_text() + "modules: [failing.py]\n")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="at import"):
            read_recipe(tmp_path / "recipe.yaml")


def test_modules(world: Any, tmp_path: Path) -> None:
    """A recipe's own file, beside the recipe, runs before names are looked up."""
    (tmp_path / "wobble_sensor.py").write_text(MODULE)
    text = world.recipe.read_text().replace("imu", "wobble")
    (tmp_path / "recipe.yaml").write_text(text + "modules: [wobble_sensor.py]\n")
    try:
        changes = {"pairs.0.data": "{wobbles: here}", "pairs[0].keep.classes": "{wobbles: names}"}
        changes["logging.emergence"] = "[{pair: [text, wobble], data: {wobbles: there}}]"
        read = read_recipe(tmp_path / "recipe.yaml", changes)
        plan = read.pairs[0]
        assert type(read.logging.emergence[0].data).__name__ == "Wobbles"
        assert plan.pair == ("image", "wobble")
        assert type(plan.data).__name__ == "Wobbles"
        assert plan.keep is not None
        assert type(plan.keep.classes).__name__ == "Wobbles"
        assert MODALITIES.get("wobble").tower == "wobble"
    finally:
        del MODALITIES.added["wobble"], SOURCES.added["wobbles"]

"""Operations are read from a recipe, pure, and deterministic given their random numbers."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from openbind.configs import to_dict
from openbind.data.augment import AUGMENTATIONS, apply_all, read_augmentations
from openbind.errors import ConfigError, UnknownNameError

RNG = np.random.default_rng(0)
IMAGE = Image.fromarray(RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8))
# What each operation works on, and settings under which it nearly always changes something.
EXAMPLES: dict[str, tuple[dict[str, Any], Any]] = {
    "color_jitter": ({}, IMAGE),
    "rand_augment": ({"layers": 8}, IMAGE),
    "erase": ({"probability": 1.0, "fill": "noise"}, torch.rand(3, 32, 40)),
    "frequency_mask": ({}, torch.rand(1, 128, 204)),
    "time_mask": ({"width": 40}, torch.rand(1, 128, 204)),
    "axis_noise": ({"std": 0.1}, torch.rand(6, 200)),
    "axis_rotation": ({"degrees": 90}, torch.rand(6, 200)),
}


def values(x: Any) -> np.ndarray:
    return np.asarray(x)


def test_every_operation_has_an_example() -> None:
    """Every operation of the table is tested here."""
    assert list(EXAMPLES) == list(AUGMENTATIONS.names())


@pytest.mark.parametrize("name", EXAMPLES)
def test_operations_are_pure(name: str) -> None:
    """Results depend only on the random numbers; shape, type and input are unchanged."""
    fields, x = EXAMPLES[name]
    [operation] = read_augmentations([{name: fields}])
    before = values(x).copy()
    results = [values(operation(x, np.random.default_rng(seed))) for seed in range(20)]
    for seed, result in enumerate(results):
        again = values(pickle.loads(pickle.dumps(operation))(x, np.random.default_rng(seed)))
        np.testing.assert_array_equal(result, again)
        assert (result.shape, result.dtype) == (before.shape, before.dtype)
    assert len({result.tobytes() for result in results}) > 15
    np.testing.assert_array_equal(values(x), before)


@pytest.mark.parametrize("name", EXAMPLES)
def test_operations_name_what_does_not_fit(name: str) -> None:
    """Unsupported inputs are errors of the recipe."""
    fields, x = EXAMPLES[name]
    [operation] = read_augmentations([{name: fields}])
    wrong: list[Any] = ["a.wav", (np.zeros(9), 16_000)]
    wrong += [IMAGE.convert("L")] if operation.stage == "item" else [torch.zeros(9), x.numpy()]
    for item in wrong:
        with pytest.raises(ConfigError, match=rf"{type(operation).__name__} needs .+, found"):
            operation(item, np.random.default_rng(0))


def test_stages_are_apart() -> None:
    """Each operation is applied at its own stage, in order."""
    operations = read_augmentations(
        ["color_jitter", {"erase": {"probability": 1.0}}, {"rand_augment": {}}]
    )
    rng = np.random.default_rng(0)
    expected = operations[2](operations[0](IMAGE, rng), rng)
    shown = apply_all(operations, "item", IMAGE, np.random.default_rng(0))
    np.testing.assert_array_equal(values(shown), values(expected))
    clip = torch.ones(1, 20, 20)
    assert (apply_all(operations, "tensor", clip, np.random.default_rng(0)) == 0).any()
    assert apply_all((), "tensor", clip, rng) is clip


def test_reading() -> None:
    """A name alone, or with an empty mapping, has the defaults; fields are checked."""
    plain, empty, given = read_augmentations(
        ["frequency_mask", {"frequency_mask": None}, {"frequency_mask": {"width": 3}}]
    )
    assert plain == empty
    assert to_dict(plain) == {"width": 12}
    assert to_dict(given) == {"width": 3}


@pytest.mark.parametrize(
    ("entry", "error", "message"),
    [
        ("color_jiter", UnknownNameError, "did you mean 'color_jitter'"),
        ({"erase": {"probabilty": 0.5}}, ConfigError, r"erase\.probabilty: .*'probability'"),
        ({"erase": {"fill": "red"}}, ConfigError, r"erase\.fill"),
        ({"erase": {"stage": "item"}}, ConfigError, r"erase\.stage: unknown key"),
        ("time_mask", ConfigError, r"time_mask\.width: missing key"),
        ({"time_mask": 40}, ConfigError, "time_mask: expected a mapping, found 40"),
        ({"erase": {}, "time_mask": {}}, ConfigError, "expected an operation"),
        (7, ConfigError, "expected an operation"),
        ({"color_jitter": {"strength": -1.0}}, ConfigError, "color_jitter: strength"),
        ({"rand_augment": {"magnitude": 11.0}}, ConfigError, "rand_augment: expected layers"),
        ({"erase": {"probability": 1.5}}, ConfigError, "erase: probability"),
        ({"erase": {"area": [0.5, 0.1]}}, ConfigError, "erase: area, ratio"),
        ({"frequency_mask": {"width": 0}}, ConfigError, "frequency_mask: width"),
        ({"axis_noise": {"std": -0.1}}, ConfigError, "axis_noise: std"),
        ({"axis_rotation": {"degrees": 200}}, ConfigError, "axis_rotation: degrees"),
    ],
)
def test_bad_entries(entry: Any, error: type[Exception], message: str) -> None:
    """Errors name the operation and the field, and suggest the nearest name."""
    with pytest.raises(error, match=message):
        read_augmentations([entry])

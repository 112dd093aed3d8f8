"""Tensors are renamed, concatenated and transposed, and checked against the config."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from openbind.checkpoints.renaming import (
    Origin,
    check_rest,
    shape_of,
    take_tower,
    tower_names,
)
from openbind.errors import CheckpointError
from openbind.model.config import HeadConfig, TokenStem, TowerConfig, TrunkConfig
from openbind.model.tower import Tower

CONFIG = TowerConfig(
    stem=TokenStem(vocabulary=10, context=4),
    trunk=TrunkConfig(width=6, depth=1, heads=2),
    head=HeadConfig(embed_dim=5, pool="eot"),
)


def origin(name: str) -> Origin:
    """Return another project's names: prefixed, q, k and v separate, projection transposed."""
    if ".in_proj." in name:
        return Origin(tuple(f"their.{name}.{part}" for part in "qkv"))
    return Origin((f"their.{name}",), transposed=name == "head.proj.weight")


@pytest.fixture
def state() -> dict[str, Tensor]:
    """Another project's state dict, with a tensor that isn't the tower's."""
    found = {"logit_scale": torch.zeros(())}
    for name, value in Tower(CONFIG).state_dict().items():
        value = torch.randn_like(value)
        names = origin(name).names
        if len(names) == 3:
            found |= dict(zip(names, value.chunk(3), strict=True))
        elif name == "stem.positions":
            found[names[0]] = value[0]
        else:
            found[names[0]] = value.T if name == "head.proj.weight" else value
    return found


def test_taken(state: dict[str, Tensor]) -> None:
    """Concatenated by rows, transposed, leading axes of length 1 added."""
    found = take_tower(state, CONFIG, origin, "w")
    assert list(found) == tower_names(CONFIG)
    assert torch.equal(found["head.proj.weight"], state["their.head.proj.weight"].T)
    assert found["stem.positions"].shape == (1, 4, 6)
    name = "trunk.blocks.0.attention.in_proj.weight"
    assert torch.equal(found[name][6:12], state[f"their.{name}.k"])
    assert all(value.is_contiguous() for value in found.values())
    Tower(CONFIG).load_state_dict(found)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("head.norm.bias", None, r"w: their.head.norm.bias: missing, expected for \(6,\)"),
        ("head.norm.bias", torch.zeros(7), r"expected \(6,\), found \(7,\)"),
        ("head.proj.weight", torch.zeros(5, 6), r"expected \(5, 6\), found \(6, 5\)"),
        ("stem.positions", torch.zeros(2, 4, 6), r"expected \(1, 4, 6\), found \(2, 4, 6\)"),
        (
            "trunk.blocks.0.attention.in_proj.bias.q",
            torch.zeros(5),
            r"bias.q \+ .*bias.v: different shapes",
        ),
    ],
)
def test_mismatches(
    state: dict[str, Tensor], name: str, value: Tensor | None, message: str
) -> None:
    """The error has the file's name of a tensor, what was expected and what was found."""
    del state[f"their.{name}"]
    if value is not None:
        state[f"their.{name}"] = value
    with pytest.raises(CheckpointError, match=message):
        take_tower(state, CONFIG, origin, "w")


def test_rest(state: dict[str, Tensor]) -> None:
    """Unused tensors are an error, except for the ignored ones."""
    origins = [origin(name) for name in tower_names(CONFIG)]
    check_rest(state, origins, ["logit_scale"], "w")
    with pytest.raises(CheckpointError, match=r"1 tensors of another architecture.*logit_scale"):
        check_rest(state, origins, [], "w")


def test_shape_of(state: dict[str, Tensor]) -> None:
    """A shape with another number of axes is an error."""
    assert shape_of(state, "their.head.norm.bias", 1, "w") == (6,)
    with pytest.raises(CheckpointError, match="expected 2 axes"):
        shape_of(state, "their.head.norm.bias", 2, "w")
    with pytest.raises(CheckpointError, match="x: missing"):
        shape_of(state, "x", 2, "w")

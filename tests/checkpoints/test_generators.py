"""A space's generator is read lazily, saved again, and refused for another image tower."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import openbind
from openbind.checkpoints import native
from openbind.errors import CheckpointError, InputError
from openbind.generation.small import write_generator
from tests.generation.small_generator import NETWORK, make_generator


@pytest.fixture
def folder(starter: openbind.Space, tmp_path: Path) -> Path:
    """The starter's image side with a tiny generator."""
    plain = openbind.load("starter", modalities=["image"])
    plain.generator = None
    openbind.save(plain, tmp_path / "space")
    shape = dataclasses.replace(NETWORK, what_dim=starter.dim - 128, where_dim=128)
    generator = make_generator(native.find_image_side(tmp_path / "space"), shape)
    write_generator(generator, tmp_path / "space" / native.GENERATOR)
    return tmp_path / "space"


def draw(space: openbind.Space) -> np.ndarray:
    vector = np.eye(space.dim, dtype=np.float32)[0]
    return np.asarray(space.generate(vector, n=1, candidates=1, steps=1)[0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_saving_keeps_the_generator_in_any_precision(
    folder: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    space = openbind.load(folder)
    native.save(space, tmp_path / "again", dtype=dtype)
    digests = json.loads((tmp_path / "again" / "config.json").read_text())["digests"]
    assert native.GENERATOR in digests
    np.testing.assert_array_equal(draw(openbind.load(tmp_path / "again")), draw(space))


def test_a_space_can_be_saved_over_itself(folder: Path) -> None:
    before = (folder / native.GENERATOR).read_bytes()
    openbind.save(openbind.load(folder), folder)
    assert (folder / native.GENERATOR).read_bytes() == before


def test_another_image_tower_is_refused(folder: Path) -> None:
    weights = load_file(folder / "vision.safetensors")
    weights["projection.weight"] *= 1.5
    save_file(weights, folder / "vision.safetensors")
    values = json.loads((folder / "config.json").read_text())
    del values["digests"]
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match="bridge"):
        draw(openbind.load(folder))


def test_a_damaged_or_missing_generator_is_found(folder: Path) -> None:
    openbind.save(openbind.load(folder), folder)
    content = bytearray((folder / native.GENERATOR).read_bytes())
    content[-1] ^= 1
    (folder / native.GENERATOR).write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        openbind.load(folder)
    (folder / native.GENERATOR).unlink()
    with pytest.raises(CheckpointError, match="no such file"):
        openbind.load(folder)

"""A saved space loads bit-exactly; anything that doesn't match its config is an error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import openbind
from openbind.catalog import shipped
from openbind.checkpoints import native


@pytest.fixture
def saved(starter: openbind.Space, tmp_path: Path) -> Path:
    """The starter, saved."""
    openbind.save(starter, tmp_path / "space")
    return tmp_path / "space"


def test_round_trip_is_bit_equal(starter: openbind.Space, saved: Path) -> None:
    """Config, card, vocabulary, weights and vectors are equal."""
    again = openbind.load(saved, device="cpu")
    assert again.config == starter.config
    assert again.card == starter.card
    assert again.fingerprint == starter.fingerprint
    np.testing.assert_array_equal(
        again.encode("text", ["a dog"]), starter.encode("text", ["a dog"])
    )
    readme = (saved / "README.md").read_text()
    assert readme == (shipped("starter") / "README.md").read_text()


def test_saving_again_replaces(starter: openbind.Space, saved: Path) -> None:
    """An existing space is replaced as a whole; no temporary files remain."""
    (saved / "left-over").write_text("old")
    openbind.save(starter, saved)
    assert not (saved / "left-over").exists()
    assert [path.name for path in saved.parent.iterdir() if path.name != "cache"] == ["space"]


def test_other_directories_are_not_touched(starter: openbind.Space, tmp_path: Path) -> None:
    """A directory with other content is refused."""
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(openbind.CheckpointError, match="not a space"):
        openbind.save(starter, tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_only_needed_towers_are_read(saved: Path) -> None:
    """With `modalities` the files of other towers aren't opened."""
    (saved / "vision.safetensors").unlink()
    space = openbind.load(saved, modalities=["text"])
    assert space.modalities == ("text",)
    assert space.encode("text", ["a dog"]).shape == (1, space.dim)
    with pytest.raises(openbind.CheckpointError, match=r"vision\.safetensors: no such file"):
        openbind.load(saved)


def test_weights_can_be_stored_smaller(starter: openbind.Space, tmp_path: Path) -> None:
    """float16 on disk has half the size and nearly the same vectors."""
    native.save(starter, tmp_path / "half", dtype=torch.float16)
    again = openbind.load(tmp_path / "half", modalities=["text"], device="cpu")
    a, b = starter.encode("text", ["a dog"]), again.encode("text", ["a dog"])
    assert float((a * b).sum()) > 0.9999
    size = (tmp_path / "half" / "text.safetensors").stat().st_size
    weights = sum(p.numel() for p in starter.towers["text"].parameters())
    assert size < 2.1 * weights


def change_config(folder: Path, change: object) -> None:
    path = folder / "config.json"
    values = json.loads(path.read_text())
    change(values)  # type: ignore[operator]
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(format=99), "expected format 1, found 99"),
        (lambda v: v.update(dimm=3), "unknown key; did you mean 'dim'"),
        (
            lambda v: v.pop("dim"),
            "dim: missing key",
        ),
        (lambda v: v["modalities"]["text"].update(tower="txt"), "no tower named 'txt'"),
        (lambda v: v["towers"]["text"]["config"].update(width=96), "different shape"),
    ],
)
def test_altered_config_is_refused(saved: Path, change: object, message: str) -> None:
    """The error names the changed field."""
    change_config(saved, change)
    with pytest.raises(openbind.CheckpointError, match=message):
        openbind.load(saved, modalities=["text"])


def test_truncated_weights_are_refused(saved: Path) -> None:
    """The error names the truncated file."""
    path = saved / "text.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(openbind.CheckpointError, match=r"text\.safetensors: truncated"):
        openbind.load(saved, modalities=["text"])

"""An identity changes with everything that decides a number, and with nothing else."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import openbind
from openbind.errors import CheckpointError
from openbind.modalities import text


@pytest.fixture
def words(starter: openbind.Space) -> openbind.Space:
    """The shipped model with text alone."""
    config = starter.config.narrow(["text"])
    towers = {name: starter.towers[name] for name in config.towers}
    return openbind.Space(config, towers, starter.card, starter.folder)


def test_vocabulary_counts(words: openbind.Space, tmp_path: Path) -> None:
    """One renamed word in the tokenizer's file makes another space."""
    assert words.folder is not None
    content = (words.folder / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(content.replace('"dog"', '"dogzz"'))
    other = openbind.Space(words.config, words.towers, words.card, tmp_path)
    assert other.fingerprint != words.fingerprint
    shutil.copy(words.folder / "tokenizer.json", tmp_path)
    same = openbind.Space(words.config, words.towers, words.card, tmp_path)
    assert same.fingerprint == words.fingerprint
    (tmp_path / "tokenizer.json").unlink()
    gone = openbind.Space(words.config, words.towers, words.card, tmp_path)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        gone.identity("text")


def test_preprocessing_counts(
    words: openbind.Space, starter: openbind.Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings and the version of the code that uses them count; those of others don't."""
    before = words.identity("text")
    assert starter.identity("text") == before
    assert words.with_settings("text", lower=True).identity("text") != before
    changed = starter.with_settings("audio", clips=1)
    assert changed.identity("text") == before
    assert changed.identity("audio") != starter.identity("audio")
    assert changed.fingerprint != starter.fingerprint
    monkeypatch.setattr(text, "MODALITY", replace(text.MODALITY, version=1_000))
    again = openbind.Space(words.config, words.towers, words.card, words.folder)
    assert again.identity("text") != before


def test_weights_count_and_the_name_does_not(starter: openbind.Space) -> None:
    """One weight, or the precision, makes another identity; the space's name doesn't."""
    config = starter.config.narrow(["imu"])
    tower = starter.towers["imu"]
    space = openbind.Space(config, {"imu": tower}, None, starter.folder)
    renamed = openbind.Space(replace(config, name="other"), {"imu": tower}, None, starter.folder)
    assert renamed.fingerprint == space.fingerprint
    other = copy.deepcopy(tower)
    with torch.no_grad():
        next(other.parameters()).view(-1)[0] += 1e-3
    for changed in (other, copy.deepcopy(tower).to(torch.bfloat16)):
        found = openbind.Space(config, {"imu": changed}, None, starter.folder)
        assert found.fingerprint != space.fingerprint

"""Texts come back from their padded bytes; towers of models of others have no weights."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from openbind.errors import CheckpointError
from openbind.model.backbones.reference import (
    OpenModel,
    ReferenceTower,
    no_weights,
    read_texts,
)


def test_texts() -> None:
    """Padding goes, and what is left of a character that was cut."""
    rows = [b"caf\xc3\xa9\0\0", b"a photo", b"caf\xc3\0\0\0"]
    bytes_BN = torch.tensor([list(row) for row in rows], dtype=torch.uint8)
    assert read_texts(bytes_BN) == ["café", "a photo", "caf"]


def test_no_weights() -> None:
    """However a state is asked for."""
    assert no_weights(torch.nn.Linear(1, 1), prefix="a.", keep_vars=True) == {}


def test_open_and_closed_towers() -> None:
    """An open one hands texts to its tokenizer; a closed one says which model is missing."""
    network, config = torch.nn.Linear(1, 1), SimpleNamespace(name="org/model")
    tower = ReferenceTower(
        config, OpenModel(network, lambda texts: {"n": torch.tensor(len(texts))})
    )
    assert tower.opened() is network
    assert tower.tokenize(torch.zeros(3, 4, dtype=torch.uint8)) == {"n": torch.tensor(3)}
    assert tower.state_dict() == {}
    with pytest.raises(CheckpointError, match="org/model"):
        ReferenceTower(config).opened()

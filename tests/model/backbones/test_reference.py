"""Texts come back from their padded bytes; towers of models of others have no weights."""

from __future__ import annotations

import torch

from openbind.model.backbones.reference import no_weights, read_texts


def test_texts() -> None:
    """Padding goes, and what is left of a character that was cut."""
    rows = [b"caf\xc3\xa9\0\0", b"a photo", b"caf\xc3\0\0\0"]
    bytes_BN = torch.tensor([list(row) for row in rows], dtype=torch.uint8)
    assert read_texts(bytes_BN) == ["café", "a photo", "caf"]


def test_no_weights() -> None:
    """However a state is asked for."""
    assert no_weights(torch.nn.Linear(1, 1), prefix="a.", keep_vars=True) == {}

"""A head with a mixture is the classifier's softened choice of vectors plus the projection."""

from __future__ import annotations

import torch
from torch import nn

from openbind.model.class_mixture import MixtureConfig, MixtureHead, build_head


def test_mixture_head() -> None:
    """A cold mixture is the likeliest vector, a hot one their mean, beside the projection."""
    features_BD = torch.randn(6, 8)
    for temperature in (1e-3, 1e3):
        head = build_head(8, 4, MixtureConfig(classes=3, temperature=temperature))
        assert isinstance(head, MixtureHead)
        logits_BC = head.beside.classifier(features_BD)
        vectors_CE = head.beside.mixture.weight.T
        hot = temperature > 1
        expected = vectors_CE.mean(0).expand(6, 4) if hot else vectors_CE[logits_BC.argmax(1)]
        expected = expected + head.proj(features_BD)
        torch.testing.assert_close(head(features_BD), expected, rtol=0, atol=2e-3)
        assert head.trained == (head.proj, head.beside.mixture)


def test_projection_alone() -> None:
    """Without a mixture the head is one Linear."""
    head = build_head(8, 4, None)
    assert isinstance(head, nn.Linear)
    assert head.weight.shape == (4, 8)

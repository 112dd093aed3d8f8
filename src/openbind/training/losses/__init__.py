"""Contrastive losses, by the name that a recipe's `loss:` has."""

from openbind.registry import Registry

LOSSES = Registry(
    "loss",
    "openbind.losses",
    {
        "info_nce": "openbind.training.losses.info_nce:InfoNCE",
        "cross_entropy": "openbind.training.losses.cross_entropy:CrossEntropy",
        "gram": "openbind.training.losses.gram:Gram",
        "sigmoid": "openbind.training.losses.sigmoid:Sigmoid",
    },
)

"""A tiny generator with random weights."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from openbind.generation.network import Condition, Enlarger, Network, NetworkConfig
from openbind.generation.prior import ImageVectors, PriorSettings
from openbind.generation.sampler import SamplerSettings
from openbind.generation.small import OTHER, Generator, GeneratorConfig

NETWORK = NetworkConfig(
    size=16, channels=(32, 64), width=32, what_dim=12, where_dim=4, near=2, enlarge=2
)


def unit(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape), dim=-1)


def make_condition(rows: int) -> Condition:
    return Condition(
        what_BD=unit(rows, NETWORK.what_dim),
        where_BD=unit(rows, NETWORK.where_dim),
        sigma_B=torch.rand(rows),
        near_BKD=unit(rows, NETWORK.near, NETWORK.what_dim),
        known_B3=torch.ones(rows, 3, dtype=torch.bool),
    )


def make_generator(accepts: str = "one side", shape: NetworkConfig = NETWORK) -> Generator:
    """Return one whose networks depend on all of their inputs."""
    torch.manual_seed(0)
    network, enlarger = Network(shape), Enlarger(shape)
    for module in (network, enlarger):
        for weight in module.parameters():
            torch.nn.init.normal_(weight, std=0.1)
    config = GeneratorConfig(
        accepts=accepts,
        network=shape,
        sampler=SamplerSettings(steps=3),
        priors={OTHER: PriorSettings(count=4, share=0.5)},
        candidates=1,
    )
    return Generator(
        config=config,
        network=network.eval().requires_grad_(False),
        enlarger=enlarger.eval().requires_grad_(False),
        images=ImageVectors(what_MD=unit(20, shape.what_dim), where_MD=unit(20, shape.where_dim)),
        means={"image": unit(shape.what_dim) * 0.3},
    )

"""Learn the generator's two networks: one that removes noise, one that enlarges."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from openbind.generation.network import Condition, Enlarger, Network, corrupt

LARGE = 20_000
"""Numbers from which a matrix learns with Muon; the other weights learn with AdamW."""


@dataclass(frozen=True, kw_only=True)
class LearnRecipe:
    """Settings; README.md has what was tried.

    Args:
        steps: of the denoising network.
        batch: images in each.
        rate: of AdamW; large matrices learn with Muon at `matrix_rate`.
        warmup: steps.
        decay: of weights.
        average: of the moving average of weights that is kept.
        time_mean, time_deviation: of the normal number whose sigmoid is the time.
        sigma: largest noise of the condition.
        drop_where, drop_near, drop_all: how often parts of the condition are unknown.
        seed: of everything random.
    """

    steps: int = 2000
    batch: int = 64
    rate: float = 1e-3
    matrix_rate: float = 0.02
    warmup: int = 50
    decay: float = 0.01
    average: float = 0.995
    time_mean: float = -0.6
    time_deviation: float = 0.9
    sigma: float = 1.5
    drop_where: float = 0.4
    drop_near: float = 0.3
    drop_all: float = 0.1
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Examples:
    """What is learned from: V variants of each drawing.

    Args:
        image_NVCHW: uint8, of the denoising network's size.
        what_NVD: unit vectors of the content, centered.
        where_NVD: unit vectors of the layout.
        near_NVKD: contents of the drawings nearest to each, itself excluded.
    """

    image_NVCHW: torch.Tensor
    what_NVD: torch.Tensor
    where_NVD: torch.Tensor
    near_NVKD: torch.Tensor


@torch.no_grad()
def orthogonalize(matrix: torch.Tensor) -> torch.Tensor:
    """Return about the nearest matrix with orthonormal rows or columns (Muon's iteration)."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(4):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose updates of matrices are orthogonalized (Jordan et al. 2024).

    Kernels of convolutions count as matrices of one row per output.
    """

    def __init__(self, matrices: list[nn.Parameter], lr: float, decay: float) -> None:
        super().__init__(matrices, {"lr": lr, "decay": decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update all matrices."""
        for group in self.param_groups:
            for matrix in group["params"]:
                state = self.state[matrix]
                momentum = state.setdefault("momentum", torch.zeros_like(matrix))
                momentum.mul_(0.95).add_(matrix.grad)
                update = orthogonalize((matrix.grad + 0.95 * momentum).flatten(1))
                scale = max(1, update.shape[0] / update.shape[1]) ** 0.5
                matrix.mul_(1 - group["lr"] * group["decay"])
                matrix.add_(update.view(matrix.shape), alpha=-group["lr"] * scale)


def sample_batch(examples: Examples, recipe: LearnRecipe) -> tuple[torch.Tensor, Condition]:
    """Draw images in [-1, 1] and their spoiled conditions at random."""
    count = recipe.batch
    row_B = torch.randint(len(examples.image_NVCHW), (count,))
    variant_B = torch.randint(examples.image_NVCHW.shape[1], (count,))
    at = (row_B, variant_B)
    sigma_B = torch.rand(count) * recipe.sigma
    what_BD = examples.what_NVD[at]
    known_B3 = torch.rand(count, 3) >= torch.tensor([0.0, recipe.drop_where, recipe.drop_near])
    known_B3 &= torch.rand(count, 1) >= recipe.drop_all
    known = Condition(
        what_BD=corrupt(what_BD, sigma_B, torch.randn_like(what_BD)),
        where_BD=examples.where_NVD[at],
        sigma_B=sigma_B,
        near_BKD=examples.near_NVKD[at],
        known_B3=known_B3,
    )
    return examples.image_NVCHW[at].float() / 127.5 - 1, known


def compute_loss(
    network: nn.Module, image_BCHW: torch.Tensor, known: Condition, recipe: LearnRecipe
) -> torch.Tensor:
    """Return the mean squared error of the velocity, from predictions of the clean image."""
    count = len(image_BCHW)
    # Times that are spread evenly over the batch vary less than independent ones.
    even = (torch.arange(count) + torch.rand(count)) / count
    normal = torch.special.ndtri(even[torch.randperm(count)].clamp(1e-4, 1 - 1e-4))
    time_B = torch.sigmoid(recipe.time_mean + recipe.time_deviation * normal)
    time_B111 = time_B[:, None, None, None]
    noisy = time_B111 * image_BCHW + (1 - time_B111) * torch.randn_like(image_BCHW)
    clean = network(noisy, time_B, known)
    return ((clean - image_BCHW) / (1 - time_B111).clamp(min=0.05)).square().mean()


def learn_network(
    network: Network,
    examples: Examples,
    recipe: LearnRecipe,
    folder: Path,
    minutes: float = 5.0,
    stop: Callable[[], bool] = lambda: False,
) -> nn.Module:
    """Learn the denoising network; go on from the checkpoint in `folder`, if there is one.

    Args:
        network: of any weights.
        examples: to learn from.
        recipe: the settings.
        folder: of the checkpoint, which is written every few minutes.
        minutes: between checkpoints.
        stop: asked after each step; True ends the run early.

    Returns:
        the moving average of the network.
    """
    torch.manual_seed(recipe.seed)
    average = copy.deepcopy(network).eval().requires_grad_(False)
    matrices = [p for p in network.parameters() if p.ndim >= 2 and p.numel() >= LARGE]
    chosen = {id(p) for p in matrices}
    others = [p for p in network.parameters() if id(p) not in chosen]
    optimizers = (
        torch.optim.AdamW(others, lr=recipe.rate, betas=(0.9, 0.99), weight_decay=recipe.decay),
        Muon(matrices, lr=recipe.matrix_rate, decay=recipe.decay),
    )
    rates, kept, first = (recipe.rate, recipe.matrix_rate), folder / "checkpoint.pt", 0
    if kept.exists():
        state = torch.load(kept, weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        for optimizer, own in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(own)
        torch.set_rng_state(state["random"])
        first = state["step"]
    began, losses = time.monotonic(), list[float]()
    for step in range(first, recipe.steps):
        fraction = min(1, (step + 1) / recipe.warmup) * min(1, 4 * (1 - step / recipe.steps))
        for optimizer, rate in zip(optimizers, rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * max(fraction, 0.01)
        loss = compute_loss(network, *sample_batch(examples, recipe), recipe)
        network.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(others, 1.0)
        for optimizer in optimizers:
            optimizer.step()
        blend = min(recipe.average, (step + 1) / (step + 10))
        with torch.no_grad():
            pairs = zip(average.parameters(), network.parameters(), strict=True)
            for mean, value in pairs:
                mean.lerp_(value, 1 - blend)
        losses.append(loss.item())
        due = time.monotonic() - began > 60 * minutes or step + 1 == recipe.steps or stop()
        if due:
            print(f"step {step + 1}: {np.mean(losses):.4f}", flush=True)
            began, losses = time.monotonic(), []
            folder.mkdir(parents=True, exist_ok=True)
            state = {
                "network": network.state_dict(),
                "average": average.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                "random": torch.get_rng_state(),
                "step": step + 1,
            }
            torch.save(state, kept.with_suffix(".new"))
            kept.with_suffix(".new").replace(kept)
        if stop():
            break
    return average


def learn_enlarger(
    enlarger: Enlarger, small_NCHW: torch.Tensor, large_NCHW: torch.Tensor, steps: int = 1500
) -> None:
    """Learn to enlarge drawings, of which the small ones are spoiled a little as drawn ones are.

    Args:
        enlarger: of any weights.
        small_NCHW, large_NCHW: the same drawings, uint8.
        steps: of 16 drawings each.
    """
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(enlarger.parameters(), lr=2e-3, betas=(0.9, 0.99))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 2e-3 * (1 - step / steps) + 1e-5
        row_B = torch.randint(len(small_NCHW), (16,))
        small, large = (part[row_B].float() / 127.5 - 1 for part in (small_NCHW, large_NCHW))
        spoiled = small + 0.05 * torch.rand(16, 1, 1, 1) * torch.randn_like(small)
        loss = F.smooth_l1_loss(enlarger(spoiled), large, beta=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 250 == 249:
            print(f"enlarger {step + 1}: {loss.item():.4f}", flush=True)

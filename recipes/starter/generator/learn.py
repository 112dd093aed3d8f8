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

from openbind.generation.network import (
    Condition,
    Enlarger,
    Network,
    corrupt,
    flatten_condition,
)

CHECKPOINT = "checkpoint.pt"
SAVE_EVERY_S = 300
Addition = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Predicted images, real images and times → what is added to the loss."""
LARGE = 20_000
"""Numbers from which a matrix learns with Muon; the other weights learn with AdamW."""


@dataclass(frozen=True, kw_only=True)
class LearnRecipe:
    """Settings; README.md has what was tried.

    Args:
        steps: of learning; rates fall in the last quarter.
        batch: images in each.
        rate: of AdamW; large matrices learn with Muon at `matrix_rate`.
        warmup: steps.
        decay: of weights.
        average: of the moving average of weights that is kept.
        time_mean, time_deviation: of the normal number whose sigmoid is the time.
        sigma: largest noise of the condition.
        drop_where, drop_near, drop_all: how often parts of the condition are unknown.
        sketch: whether the sketch learns, too.
        seed: of everything random.
    """

    steps: int = 5500
    batch: int = 64
    rate: float = 1e-3
    matrix_rate: float = 0.02
    warmup: int = 50
    decay: float = 0.01
    average: float = 0.995
    time_mean: float = -0.9
    time_deviation: float = 0.9
    sigma: float = 1.0
    drop_where: float = 0.3
    drop_near: float = 0.3
    drop_all: float = 0.1
    sketch: bool = True
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
    x: torch.Tensor = matrix.T if tall else matrix
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


@torch.no_grad()
def learn_sketch(
    network: Network, examples: Examples, recipe: LearnRecipe, batches: int = 300
) -> None:
    """Set the network's sketch to a ridge regression from conditions onto coarse images."""
    torch.manual_seed(recipe.seed)
    side, rows = network.config.side, network.sketch.in_features + 1
    square, product = torch.zeros(rows, rows), torch.zeros(rows, 3 * side**2)
    for _ in range(batches):
        image_BCHW, known = sample_batch(examples, recipe)
        x = flatten_condition(known)
        x = torch.cat([x, torch.ones(len(x), 1)], dim=1)
        square += x.T @ x
        product += x.T @ F.adaptive_avg_pool2d(image_BCHW, side).flatten(1)
    square.diagonal().add_(1e-3 * recipe.batch * batches / rows)
    weight = torch.linalg.solve(square.double(), product.double()).float()
    network.sketch.weight.copy_(weight[:-1].T)
    network.sketch.bias.copy_(weight[-1])


def compute_loss(
    network: nn.Module,
    image_BCHW: torch.Tensor,
    known: Condition,
    recipe: LearnRecipe,
    addition: Addition | None = None,
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
    loss: torch.Tensor = ((clean - image_BCHW) / (1 - time_B111).clamp(min=0.05)).square().mean()
    return loss if addition is None else loss + addition(clean, image_BCHW, time_B)


@dataclass
class Run:
    """What a run of learning changes.

    Args:
        network: that is learned.
        average: the moving average of its weights.
        optimizers: of large matrices, and of other weights.
        step: the next one.
    """

    network: Network
    average: Network
    optimizers: tuple[torch.optim.Optimizer, ...]
    step: int = 0

    def save(self, folder: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "random": torch.get_rng_state(),
            "step": self.step,
        }
        torch.save(state, folder / f"{CHECKPOINT}.new")
        (folder / f"{CHECKPOINT}.new").replace(folder / CHECKPOINT)

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(folder / CHECKPOINT, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        for optimizer, own in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(own)
        torch.set_rng_state(state["random"])
        self.step = state["step"]


def start_run(network: Network, recipe: LearnRecipe) -> Run:
    """Return a run that has learned nothing yet."""
    network.sketch.requires_grad_(recipe.sketch)
    learned = [p for p in network.parameters() if p.requires_grad]
    large = [p for p in learned if p.ndim >= 2 and p.numel() >= LARGE]
    chosen = {id(p) for p in large}
    others = [p for p in learned if id(p) not in chosen]
    optimizers = (
        Muon(large, lr=recipe.matrix_rate, decay=recipe.decay),
        torch.optim.AdamW(others, lr=recipe.rate, betas=(0.9, 0.99), weight_decay=recipe.decay),
    )
    average = copy.deepcopy(network).eval().requires_grad_(False)
    return Run(network=network, average=average, optimizers=optimizers)


def learn_network(
    network: Network,
    examples: Examples,
    recipe: LearnRecipe,
    folder: Path,
    addition: Addition | None = None,
) -> Network:
    """Learn the denoising network; go on from the checkpoint in `folder`, if there is one.

    Args:
        network: of any weights.
        examples: to learn from.
        recipe: the settings.
        folder: of the checkpoint, which is written every few minutes.
        addition: to the loss.

    Returns:
        the moving average of the network.
    """
    torch.manual_seed(recipe.seed)
    run = start_run(network, recipe)
    if (folder / CHECKPOINT).exists():
        run.load(folder)
    saved = time.monotonic()
    losses: list[float] = []
    while run.step < recipe.steps:
        losses.append(learn_step(run, examples, recipe, addition))
        if time.monotonic() - saved > SAVE_EVERY_S or run.step == recipe.steps:
            print(f"step {run.step}: {np.mean(losses):.4f}", flush=True)
            run.save(folder)
            saved, losses = time.monotonic(), []
    return run.average


def learn_step(
    run: Run, examples: Examples, recipe: LearnRecipe, addition: Addition | None = None
) -> float:
    """Learn from one batch; return its loss.

    Args:
        run: is changed.
        examples: to learn from.
        recipe: the settings.
        addition: to the loss.
    """
    falling = min(1, (run.step + 1) / recipe.warmup) * min(1, 4 * (1 - run.step / recipe.steps))
    rates = (recipe.matrix_rate, recipe.rate)
    for optimizer, rate in zip(run.optimizers, rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate * max(falling, 0.01)
    loss = compute_loss(run.network, *sample_batch(examples, recipe), recipe, addition)
    run.network.zero_grad()
    loss.backward()
    for optimizer in run.optimizers:
        optimizer.step()
    blend = min(recipe.average, (run.step + 1) / (run.step + 10))
    with torch.no_grad():
        pairs = zip(run.average.parameters(), run.network.parameters(), strict=True)
        for mean, value in pairs:
            mean.lerp_(value, 1 - blend)
    run.step += 1
    return loss.item()


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

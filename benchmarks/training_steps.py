"""Training steps of a small head, against a plain loop that an expert writes for it.

Method: rows of stored image vectors and stored features of the starter's audio tower, whose head is
trained with InfoNCE and AdamW. "openbind" takes the steps of a run: batches drawn, read and
contrasted, learning rate, clipping, checks for infinite numbers. "Plain" has the same head, batch
size, optimizer (AdamW whose decay spares biases) and schedule in a loop over a permutation of one
tensor of features, with the loss of CLIP as cross entropies both ways. Both are measured
alternately, in one process on one thread, by its CPU time, which other processes don't take; the
figures are medians over rounds.

    python benchmarks/training_steps.py [--batch 16 64 256 1024] [--steps 100]
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from tables import print_heads, print_row

import openbind
from openbind.training.distributed import World
from openbind.training.heads import head_layer
from openbind.training.optimization import group_parameters
from openbind.training.recipe import Recipe
from openbind.training.recipe_file import read_recipe
from openbind.training.run import prepare_run
from openbind.training.trainer import Trainer

RECIPE = """
name: steps
start: starter
batch_size: {batch}
pairs:
  - {{pair: [image, audio], data: {{manifest: pairs.jsonl}}}}
towers:
  audio: {{start: space, train: head}}
schedule: {{lr: 1e-3, steps: 1000000, warmup_steps: 100, max_grad_norm: 1.0}}
"""


def write_data(folder: Path, rows: int, width: int, dim: int) -> None:
    """Write rows of random vectors and features."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(rows, dim)).astype(np.float32)
    np.save(folder / "vectors.npy", vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    np.save(folder / "features.npy", rng.normal(size=(rows, width)).astype(np.float32))
    lines = [
        {"image.vector": f"vectors.npy#{row}", "audio.features": f"features.npy#{row}"}
        for row in range(rows)
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def make_ours(trainer: Trainer) -> Callable[[int], None]:
    """Return a function that takes so many steps of a run."""
    place, batches = 0, trainer.batches(0)

    def steps(count: int) -> None:
        nonlocal place
        for _ in range(count):
            trainer.take_step(place, next(batches))
            place += 1

    return steps


def make_plain(
    net: torch.nn.Module, features_ND: torch.Tensor, vectors_NE: torch.Tensor, recipe: Recipe
) -> Callable[[int], None]:
    """Return a function that takes so many steps of a plain loop."""
    schedule, batch = recipe.schedule, recipe.batch_size
    optimizer = torch.optim.AdamW(
        group_parameters(net, schedule.weight_decay),
        schedule.lr,
        schedule.betas,
        schedule.eps,
        fused=True,
    )
    total, warmup = schedule.total_steps(1), schedule.warmup_steps or 0
    scale, target = 1 / recipe.pairs[0].temperature, torch.arange(batch)
    place, order = 0, torch.randperm(len(features_ND))

    def steps(count: int) -> None:
        nonlocal place, order
        for _ in range(count):
            at = place % (len(order) // batch)
            if at == 0:
                order = torch.randperm(len(features_ND))
            rows = order[at * batch :][:batch]
            query_QE = F.normalize(net(features_ND[rows]), dim=1)
            logits_QK = scale * query_QE @ vectors_NE[rows].T
            loss = (F.cross_entropy(logits_QK, target) + F.cross_entropy(logits_QK.T, target)) / 2
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), schedule.max_grad_norm or math.inf)
            progress = (place - warmup) / (total - warmup)
            rate = (
                (place + 1) / warmup if place < warmup else (1 + math.cos(math.pi * progress)) / 2
            )
            for group in optimizer.param_groups:
                group["lr"] = schedule.lr * rate
            optimizer.step()
            optimizer.zero_grad()
            if place % 10 == 0 and not math.isfinite(loss.item()):
                raise ValueError(f"the loss is {loss.item()}")
            place += 1

    return steps


def rate_of(steps: Callable[[int], None], count: int) -> float:
    """Return steps per second of CPU time."""
    started = time.process_time()
    steps(count)
    return count / (time.process_time() - started)


def measure(folder: Path, batch: int, count: int, rounds: int) -> tuple[float, float]:
    """Return the medians of openbind's steps a second and of the plain loop's."""
    (folder / "recipe.yaml").write_text(RECIPE.format(batch=batch))
    recipe = read_recipe(folder / "recipe.yaml", {"hardware.device": "cpu"})
    run = prepare_run(recipe, folder, None, World(), progress=False)
    net = copy.deepcopy(run.trained_towers["audio"].net)
    features_ND, vectors_NE = (
        torch.from_numpy(np.load(folder / f"{name}.npy")) for name in ("features", "vectors")
    )
    plain = make_plain(net, features_ND, vectors_NE, recipe)
    ours = make_ours(Trainer(recipe, run.pairs, run.trained_towers, World()))
    rates: tuple[list[float], list[float]] = ([], [])
    for steps in (ours, plain):
        steps(count // 10)
    for _ in range(rounds):
        for found, steps in zip(rates, (ours, plain), strict=True):
            found.append(rate_of(steps, count))
    return median(rates[0]), median(rates[1])


def main() -> None:
    """Measure both loops and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--batch", type=int, nargs="+", default=[16, 64, 256, 1024])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print_heads("rows of a batch", "openbind, steps a CPU second", "plain loop", "ratio")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        space = openbind.load("starter", modalities=["audio"], dtype=torch.float32, device="cpu")
        tower = space.towers[space.config.modalities["audio"].tower]
        write_data(folder, options.rows, head_layer(tower).in_features, space.dim)
        for batch in options.batch:
            mine, theirs = measure(folder, batch, options.steps, options.rounds)
            print_row(f"{batch:,}", f"{mine:.0f}", f"{theirs:.0f}", f"{mine / theirs:.2f}")


if __name__ == "__main__":
    main()

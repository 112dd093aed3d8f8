"""Let a generator that has learned take the vectors of another image head on the same backbone.

    python recipes/starter/generator/carry_over.py --data DATA --work SCRATCH --before FOLDER \
        --out DIRECTORY [--steps STEPS]

FOLDER is the space whose generator has learned, with the head that it learned from; the starter has
the new one. A ridge regression from the new contents of the drawings onto the old ones is folded
into the layers that read contents; then the network may be sharpened for some more steps. Writes
`generator.safetensors` and `numbers.json` as `build.py` does, with the settings that were chosen.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from build import (
    Prepared,
    gather_items,
    image_tower,
    make_judge,
    measure,
    modality_means,
    prepare,
    write_json,
)
from drawings import embed_drawings
from learn import learn_network
from sharpen import RECIPE, Seen
from torch.nn import functional as F

import openbind
from examples import gather_examples, image_vectors, split_vectors
from openbind.catalog import shipped
from openbind.checkpoints.native import GENERATOR, find_image_side
from openbind.generation.network import Network
from openbind.generation.small import Generator, read_generator, write_generator

RIDGE = 1e-3
"""Of the regression, relative to the mean variance."""


def main() -> None:
    """Carry over, sharpen, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "work", "before", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    space = openbind.load("starter", dtype="float32")
    prepared = prepare(space, options.work)
    generator = read_generator(options.before / GENERATOR)
    before = read_contents(openbind.load(options.before, modalities=["image"]), prepared)
    fit(generator.network, prepared.parts.what_NVD.flatten(0, 1), before.flatten(0, 1))
    generator = replace(
        generator,
        config=replace(generator.config, accepts=find_image_side(shipped("starter"))),
        network=sharpen_on(generator, prepared, space, options.work, options.steps),
        images=image_vectors(prepared.parts, prepared.learned_N),
        means=modality_means(space, prepared.parts.mean_D, options.data),
    )
    write_generator(generator, options.out / GENERATOR)
    judge, real = make_judge(prepared, options.work)
    sides = gather_items(judge, space, options.data, options.work)
    found = measure(generator, judge, real, prepared, space, sides)
    write_json(options.out / "numbers.json", found)


def read_contents(space: openbind.Space, prepared: Prepared) -> torch.Tensor:
    """Return the drawings' unit contents (N, V, D) by another head, of the first features."""
    tower = image_tower(space)
    width, what_dim = tower.projection.in_features, prepared.parts.what_NVD.shape[-1]
    found = replace(prepared.found, features_NVD=prepared.found.features_NVD[..., :width])
    vectors_NVE = embed_drawings(tower, found)
    return split_vectors(vectors_NVE, what_dim, prepared.learned_N).what_NVD


@torch.no_grad()
def fit(network: Network, now_ND: torch.Tensor, before_ND: torch.Tensor) -> torch.Tensor:
    """Let a network read contents as it read others before; return their cosines after the map.

    Args:
        network: is modified.
        now_ND: unit contents, as it is to read them.
        before_ND: unit contents of the same drawings, as it read them.
    """
    square_DD = now_ND.T @ now_ND
    square_DD.diagonal().add_(RIDGE * square_DD.diagonal().mean())
    map_DD = torch.linalg.solve(square_DD, now_ND.T @ before_ND).T
    for layer in (network.what, network.near):
        layer.weight.copy_(layer.weight @ map_DD)
    dim, sketch = len(map_DD), network.sketch.weight
    for start in (0, sketch.shape[1] - 3 - dim):  # content, layout, neighbors, what is known
        part = sketch[:, start : start + dim]
        part.copy_(part @ map_DD)
    return F.cosine_similarity(now_ND @ map_DD.T, before_ND)


def sharpen_on(
    generator: Generator, prepared: Prepared, space: openbind.Space, work: Path, steps: int
) -> Network:
    """Return the network, after so many steps of `sharpen.py`; they go on from a checkpoint."""
    network, shape = generator.network, generator.config.network
    if steps == 0:
        return network
    examples = gather_examples(
        prepared.found, prepared.parts, prepared.learned_N, shape.size, shape.near
    )
    tower = image_tower(space).requires_grad_(False)
    seen = Seen(tower=tower, enlarger=generator.enlarger.requires_grad_(False))
    recipe = replace(RECIPE, steps=steps)
    folder = work / "runs" / "carried"
    return learn_network(network.requires_grad_(True), examples, recipe, folder, seen)


if __name__ == "__main__":
    main()

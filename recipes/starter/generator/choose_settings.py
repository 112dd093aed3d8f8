"""Choose how the prior and the sampler are set, on a fifth of the classes.

Numbers are reported on the other classes' items alone, which no setting is chosen by. Both parts
are named among all classes.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from measure import draw

from openbind.evaluation.judge import Judge
from openbind.generation.candidates import Look
from openbind.generation.prior import PriorSettings
from openbind.generation.sampler import SamplerSettings
from openbind.generation.small import OTHER, Generator

PARTS = 5
"""One of so many classes is chosen on."""


@dataclass(frozen=True, kw_only=True)
class Items:
    """Items that images are drawn from.

    Args:
        vectors_NE: of each.
        class_N: row of each one's noun.
        modality: of all.
    """

    vectors_NE: torch.Tensor
    class_N: np.ndarray
    modality: str

    def of(self, kept_N: np.ndarray) -> Items:
        """Return some items."""
        rows = torch.from_numpy(kept_N)
        return replace(self, vectors_NE=self.vectors_NE[rows], class_N=self.class_N[kept_N])


CANDIDATES: Mapping[str, tuple[PriorSettings, SamplerSettings]] = {
    name: (
        PriorSettings(count=count, temperature=temperature, spread=spread),
        SamplerSettings(steps=4, guidance=2.0),
    )
    for name, count, temperature, spread in (
        ("of 8 drawings, temperature 0.03, spread 1", 8, 0.03, 1.0),
        ("of 16 drawings, temperature 0.05, spread 1.5", 16, 0.05, 1.5),
    )
}


def is_chosen_on(names: Sequence[str]) -> np.ndarray:
    """Return whether settings are chosen on each noun, (N,) bool; it depends on its name alone."""
    return np.array([zlib.crc32(name.encode()) % PARTS == 0 for name in names])


def with_settings(
    generator: Generator, prior: PriorSettings, sampler: SamplerSettings
) -> Generator:
    """Return a generator with other settings for all modalities but images."""
    priors = {**generator.config.priors, OTHER: prior}
    return replace(generator, config=replace(generator.config, priors=priors, sampler=sampler))


def choose(
    generator: Generator, judge: Judge, sides: Sequence[Items], look: Look
) -> tuple[Generator, dict[str, dict[str, float]]]:
    """Return the generator with the candidate that is best on the sides' average, and all numbers.

    Args:
        generator: draws.
        judge: names images.
        sides: all items, of some modalities.
        look: embeds candidates, by the starter itself.
    """
    chosen_K = is_chosen_on(judge.names)
    found: dict[str, dict[str, float]] = {}
    for name, settings in CANDIDATES.items():
        other = with_settings(generator, *settings)
        found[name] = {
            s.modality: measure_agreement(other, judge, s, chosen_K, look) for s in sides
        }
        print(name, found[name], flush=True)
    best = max(found, key=lambda name: sum(found[name].values()))
    return with_settings(generator, *CANDIDATES[best]), found


def measure_agreement(
    generator: Generator, judge: Judge, items: Items, kept_K: np.ndarray, look: Look
) -> float:
    """Return how often the judge names the images of some classes' items right, among all.

    One image of each is kept, the nearest of its candidates.
    """
    classes, own = np.unique(items.class_N), items.of(kept_K[items.class_N])
    images = draw(generator, own.vectors_NE, own.modality, 0, look)
    best_N = classes[judge.classify(judge.features(images))[:, classes].argmax(1)]
    return float((best_N == own.class_N).mean())

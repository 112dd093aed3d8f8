"""Measure what the generator draws from what it didn't learn, each number beside its controls."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from openbind.evaluation.drawn import copied_fraction, diversity, kernel_distance, shuffle
from openbind.evaluation.judge import EfficientNetJudge
from openbind.evaluation.metrics import fraction_interval
from openbind.generation.candidates import Look, keep_nearest
from openbind.generation.decoder import image_seeds
from openbind.generation.small import Generator
from openbind.space.space import Space

SEEDS = 2
"""Images drawn from each vector."""
LAYOUTS = 120
"""Pairs of a noun and a held-out drawing's layout."""
OTHERS = 9
"""Layouts of other held-out drawings, that the one asked for is to be found among."""


@dataclass(frozen=True, kw_only=True)
class Real:
    """Real drawings as the judge sees them.

    Args:
        seen_ND: the judge's features of all.
        class_N: row of each one's noun; -1 has none.
        learned_N: whether each was learned from.
    """

    seen_ND: np.ndarray
    class_N: np.ndarray
    learned_N: np.ndarray


def measure_drawn(
    generator: Generator,
    judge: EfficientNetJudge,
    real: Real,
    look: Look,
    vectors_NE: torch.Tensor,
    class_N: np.ndarray,
    modality: str,
    classes: np.ndarray,
) -> dict[str, float]:
    """Draw from vectors, and let the judge name the images among classes.

    Args:
        generator: draws.
        judge: knows the classes.
        real: drawings, for ceiling, retrieval and copying.
        look: embeds candidates, by the starter itself.
        vectors_NE: of items that weren't learned from.
        class_N: row of each one's noun.
        modality: of the items.
        classes: rows of the nouns that it names them among; the items may be of some only.
    """
    drawn = [draw(generator, vectors_NE, modality, seed, look) for seed in range(SEEDS)]
    seen_SND = np.stack([judge.features(images) for images in drawn])
    learned_MD = real.seen_ND[real.learned_N]
    held = ~real.learned_N & np.isin(real.class_N, np.unique(class_N))
    nearest_N = generator.find_nearest(vectors_NE, modality)[:, 0].numpy()
    all_ND, held_ND = seen_SND.reshape(-1, seen_SND.shape[-1]), real.seen_ND[~real.learned_N]

    def agree(seen_ND: np.ndarray, target_N: np.ndarray) -> float:
        best_N = classes[judge.classify(seen_ND)[:, classes].argmax(1)]
        return float((best_N == target_N).mean())

    right, low, high = np.mean([agree(seen_ND, class_N) for seen_ND in seen_SND]), 0.0, 0.0
    low, high = fraction_interval(float(right), len(class_N))
    order = shuffle(len(class_N))
    return {
        "items": len(class_N),
        "classes": len(classes),
        "classes of items": len(np.unique(class_N)),
        "agreement": float(right),
        "low": low,
        "high": high,
        "ceiling": agree(real.seen_ND[held], real.class_N[held]),
        "floor": float(np.mean([agree(seen_ND, class_N[order]) for seen_ND in seen_SND])),
        "retrieval": agree(learned_MD[nearest_N], class_N),
        "R-precision": precision(all_ND, np.tile(class_N, SEEDS), real, held),
        "kernel distance": kernel_distance(all_ND, learned_MD),
        "kernel distance of held-out": kernel_distance(held_ND, learned_MD),
        "copied": copied_fraction(all_ND, held_ND, learned_MD),
        "diversity": diversity(seen_SND.transpose(1, 0, 2)),
    }


def precision(seen_ND: np.ndarray, class_N: np.ndarray, real: Real, held_N: np.ndarray) -> float:
    """Return how often the nearest held-out real drawing is of the same class."""
    nearest_N = real.class_N[held_N][(seen_ND @ real.seen_ND[held_N].T).argmax(1)]
    return float((nearest_N == class_N).mean())


def measure_layouts(
    generator: Generator,
    judge: EfficientNetJudge,
    real: Real,
    space: Space,
    texts_NE: torch.Tensor,
    where_ND: torch.Tensor,
    kept_N: np.ndarray,
) -> dict[str, float]:
    """Draw the content of nouns in the layout of held-out drawings, beside what a search finds.

    A layout is found if the one that was asked for is nearer than those of `OTHERS` other drawings.
    Retrieval finds the nearest drawing to the noun, or to noun and layout together.

    Args:
        generator: draws.
        judge: its names are the nouns, in order.
        real: drawings, for retrieval.
        space: sees the layouts of drawn images.
        texts_NE: vectors of the nouns.
        where_ND: unit layouts of held-out drawings.
        kept_N: nouns that are drawn.
    """
    chance = np.random.default_rng(0)
    noun_N = chance.choice(np.flatnonzero(kept_N), size=LAYOUTS)
    wanted_ND = where_ND[chance.integers(len(where_ND), size=LAYOUTS)]
    other_NKD = where_ND[chance.integers(len(where_ND), size=(LAYOUTS, OTHERS))]
    vectors_NE = texts_NE[noun_N].clone()
    vectors_NE[:, -wanted_ND.shape[1] :] = wanted_ND
    images = draw(generator, vectors_NE, "text", 0, partial(space.encode, "image"))
    seen_NE = torch.from_numpy(space.encode("image", images))
    learned, learned_MD = generator.images, real.seen_ND[real.learned_N]
    nearest_N = generator.find_nearest(vectors_NE, "text")[:, 0]
    likeness_NM = learned.what_MD[nearest_N] @ learned.what_MD.T + wanted_ND @ learned.where_MD.T
    both_N = likeness_NM.argmax(1)
    shown = {
        "": (judge.features(images), F.normalize(seen_NE[:, -wanted_ND.shape[1] :], dim=1)),
        " of retrieval": (learned_MD[nearest_N.numpy()], learned.where_MD[nearest_N]),
        " of retrieval by both": (learned_MD[both_N.numpy()], learned.where_MD[both_N]),
    }
    found: dict[str, float] = {}
    for of, (judged_ND, layout_ND) in shown.items():
        is_named_N = judge.classify(judged_ND).argmax(1) == noun_N
        own_N = (layout_ND * wanted_ND).sum(1)
        is_found_N = (own_N > torch.einsum("nd,nkd->nk", layout_ND, other_NKD).amax(1)).numpy()
        found |= {
            f"agreement{of}": float(is_named_N.mean()),
            f"layout cosine{of}": float(own_N.mean()),
            f"layout found{of}": float(is_found_N.mean()),
            f"both right{of}": float((is_named_N & is_found_N).mean()),
        }
    return found


def draw(
    generator: Generator,
    vectors_NE: torch.Tensor,
    modality: str,
    seed: int,
    look: Look | None = None,
) -> list[Image.Image]:
    """Draw one image of each vector: the nearest of its candidates, or the first without `look`."""
    count = 1 if look is None else generator.config.candidates
    kept = []
    for row, vector_E in enumerate(vectors_NE):
        seeds = image_seeds(seed + SEEDS * row, count)
        known = generator.find_condition(vector_E, modality, seeds)
        images = generator.draw(known, seeds, generator.config.sampler)
        kept += images if look is None else keep_nearest(images, vector_E.numpy(), count, look)
    return kept

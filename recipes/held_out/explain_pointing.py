"""Say where pointing by sound fails: for each thing, by its recordings' vectors or by the map.

    python recipes/held_out/explain_pointing.py

Of each held-out thing that sounds and is shown: among how many recordings its name is the nearest
of all names of the set, and how often recordings, names, and other images of the thing point at
its image in the mosaics of the suite (2 × 2), where each is asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

import openbind
from openbind.evaluation.held_out import held_out_folder
from openbind.evaluation.suites.mosaics import SUITE
from openbind.evaluation.tasks.mosaics import Mosaics, compose
from openbind.space.locating import OpenImage

HEARD = (
    *("airplane", "bell", "bird", "car", "clock", "cow", "dog", "drum", "guitar", "helicopter"),
    *("laptop", "motorcycle", "rain", "rooster", "sailing ship", "saxophone", "sheep", "train"),
    "umbrella",
)
"""Things of which training had sounds: ESC-50's classes (church bells, car horn), instruments."""

Hits = dict[str, list[bool]]
"""Modality → whether each query points at its image."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Queries of one modality.

    Args:
        keys: what each is of.
        items: the queries.
        vectors_NE: of them.
    """

    keys: Sequence[str]
    items: Sequence[object]
    vectors_NE: np.ndarray


def count_named(asked: Mapping[str, Asked]) -> dict[str, tuple[int, int]]:
    """Return for each thing how many of its recordings are nearest to its name, of how many."""
    sounds, texts = asked["audio"], asked["text"]
    nearest = (sounds.vectors_NE @ texts.vectors_NE.T).argmax(1)
    found: dict[str, tuple[int, int]] = {}
    for key, index in zip(sounds.keys, nearest, strict=True):
        named, count = found.get(key, (0, 0))
        found[key] = (named + (texts.keys[index] == key), count + 1)
    return found


def point(space: openbind.Space, task: Mosaics, asked: Mapping[str, Asked]) -> dict[str, Hits]:
    """Return thing → modality → whether each query points at its image."""
    found: dict[str, Hits] = defaultdict(lambda: defaultdict(list))
    generator = np.random.default_rng(task.seed)
    for _ in range(task.count):
        chosen = [int(generator.choice(indices)) for indices in draw(task, generator)]
        opened = OpenImage(space, compose([task.items[i] for i in chosen], task.side), "image")
        for place, index in enumerate(chosen):
            key = task.keys[index]
            for name, own in asked.items():
                for at, other in enumerate(own.keys):
                    if other == key and own.items[at] != task.items[index]:
                        hit = place_of(opened, own.vectors_NE[at], task.side) == place
                        found[key][name].append(hit)
    return found


def draw(task: Mosaics, generator: np.random.Generator) -> list[list[int]]:
    """Return the images of things that are drawn for a mosaic."""
    keys = generator.permutation(sorted(set(task.keys)))[: task.side**2]
    return [[i for i, own in enumerate(task.keys) if own == key] for key in keys]


def place_of(opened: OpenImage, vector_E: np.ndarray, side: int) -> int:
    """Return the place of the mosaic that a query points at."""
    found = opened.find(vector_E)
    (x, y), (width, height) = found.peak, found.size
    return y * side // height * side + x * side // width


def show(task: Mosaics, named: Mapping[str, tuple[int, int]], hits: Mapping[str, Hits]) -> None:
    """Print a table of the things that sound."""
    print(f"\n{task.name}")
    print("| thing | heard in training | named | by sound | by text | by image |")
    print("|---|---|---|---|---|---|")
    rows = sorted(set(hits) & set(named), key=lambda key: (key not in HEARD, key))
    for key in rows:
        shares = [share(hits[key].get(name, [])) for name in ("audio", "text", "image")]
        right, count = named[key]
        print(f"| {key} | {'yes' if key in HEARD else 'no'} | {right} of {count} | ", end="")
        print(" | ".join(shares) + " |")
    for title, is_heard in (("heard", True), ("never heard", False)):
        own = [key for key in rows if (key in HEARD) is is_heard]
        sums = [
            [hit for key in own for hit in hits[key].get(name, [])]
            for name in ("audio", "text", "image")
        ]
        right, count = (sum(named[key][part] for key in own) for part in (0, 1))
        print(f"| all {title} | | {right} of {count} | {' | '.join(map(share, sums))} |")


def share(hits: Sequence[bool]) -> str:
    """Return a mean with its count."""
    return f"{np.mean(hits):.2f} of {len(hits)}" if hits else "–"


def main() -> None:
    """Print a table for each set of the suite that has sounds."""
    space = openbind.load("starter")
    for task in SUITE.read(held_out_folder()):
        if not isinstance(task, Mosaics) or task.side != 2 or "audio" not in task.queries:
            continue
        asked = {
            name: Asked(
                keys=own.keys, items=own.items, vectors_NE=space.encode(name, list(own.items))
            )
            for name, own in task.queries.items()
        }
        show(task, count_named(asked), point(space, task, asked))


if __name__ == "__main__":
    main()

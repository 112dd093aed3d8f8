"""Search over all modalities at once: by cosine, and by deviations above unrelated items.

Each text of the samples and of the held-out sets searches all their images, sounds, videos, IMU
recordings, depth and thermal maps together. A modality counts as found if an item of the text's
class is among the first ten; averaged over the texts of each modality, then over modalities. In
lanes each modality has a list of its own, in which its item is first or among the first ten. The
samples' drawings and some sounds were in the starter's training data: this compares orders of the
same vectors, it doesn't measure the starter. Refined: as an index of the items does it, which
measures pairs of its own rows where it has a hundred of a modality; images search images.

    python benchmarks/mixed_search.py
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

import openbind
from openbind.evaluation.builtin import find_sets, gather
from openbind.evaluation.collection import EmbeddedItems
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.samples import read_sample_set, samples_folder
from openbind.search.query import Term, expect_unrelated, rank
from openbind.search.unrelated import measure_rows
from openbind.space.card import Card

TOP = 10


def embed() -> tuple[Card, dict[str, EmbeddedItems]]:
    """Embed the samples and the held-out sets."""
    space = openbind.load("starter", device="cpu")
    sets = [read_sample_set(samples_folder()), *find_sets()]
    embedder = Embedder(space, progress=True)
    found = {name: gather(embedder, name, sets) for name in space.modalities}
    return space.card, {name: some for name, some in found.items() if some is not None}


def refine(card: Card, embedded: Mapping[str, EmbeddedItems]) -> Card:
    """Return a card as an index of the items refines it."""
    rows = {name: some.vectors_NE for name, some in embedded.items() if name != "text"}
    found = measure_rows(rows, {name: np.arange(len(own_NE)) for name, own_NE in rows.items()})
    pairs = {frozenset(each.modalities) for each in found}
    kept = [each for each in card.unrelated if frozenset(each.modalities) not in pairs]
    return replace(card, unrelated=(*found, *kept))


def measure_alarms(name: str, card: Card, some: EmbeddedItems) -> None:
    """Print how often images find one close among all others, and without their class."""
    labels = np.array([item.label for item in some.items])
    found, alarms = list[bool](), list[bool]()
    for at, query_E in enumerate(some.vectors_NE):
        unrelated = expect_unrelated(card, [Term("image", query_E)])
        same = labels == labels[at]
        if same.sum() < 2:
            continue
        for chosen, noted in ((np.arange(len(labels)) != at, found), (~same, alarms)):
            items_KE = some.vectors_NE[chosen]
            best = rank(query_E, items_KE, ["image"] * len(items_KE), 1, unrelated)
            noted.append(bool(best[0].close))
    print(f"{name}, of {len(found)} images {np.mean(found):.2f} find one close among the others,")
    print(f"  {np.mean(alarms):.2f} without those of their class")


def measure(name: str, card: Card, embedded: Mapping[str, EmbeddedItems]) -> None:
    """Print how often each modality is found, and how many results that say "close" are right."""
    texts = embedded["text"]
    others = [(item, name) for name, some in embedded.items() for item in some.items]
    kept = [at for at, (_, name) in enumerate(others) if name != "text"]
    vectors_KE = np.concatenate([some.vectors_NE for some in embedded.values()])[kept]
    items = [others[at][0] for at in kept]
    modalities = [others[at][1] for at in kept]
    classes = [(item.set, item.label) for item in items]
    hits, close, alarms = defaultdict[str, list[bool]](list), list[bool](), list[bool]()
    lanes = {top: defaultdict[str, list[bool]](list) for top in (1, TOP)}
    for text, query_E in zip(texts.items, texts.vectors_NE, strict=True):
        unrelated = expect_unrelated(card, [Term("text", query_E)])
        found = rank(query_E, vectors_KE, modalities, TOP, unrelated)
        own = {at for at, known in enumerate(classes) if known == (text.set, text.label)}
        for modality in {modalities[at] for at in own}:
            right = any(each.row in own and modalities[each.row] == modality for each in found)
            hits[modality].append(right)
            lane = [at for at, other in enumerate(modalities) if other == modality]
            order = np.argsort(-(vectors_KE[lane] @ query_E), kind="stable")
            for top, found_in_lanes in lanes.items():
                found_in_lanes[modality].append(any(lane[row] in own for row in order[:top]))
        close += [each.row in own for each in found if each.close]
        rest = [at for at, (_, label) in enumerate(classes) if label != text.label]
        names = [modalities[at] for at in rest]
        alarms.append(any(e.close for e in rank(query_E, vectors_KE[rest], names, 1, unrelated)))
    parts = [f"{each} {np.mean(own):.2f} ({len(own)})" for each, own in sorted(hits.items())]
    print(f"{name}: {', '.join(parts)}")
    every = [right for own in hits.values() for right in own]
    means = [float(np.mean(own)) for own in hits.values()]
    print(f"  mean of modalities {np.mean(means):.2f}, of all {np.mean(every):.2f}")
    for top, found_in_lanes in lanes.items():
        shown = [f"{each} {np.mean(own):.2f}" for each, own in sorted(found_in_lanes.items())]
        mean = np.mean([np.mean(own) for own in found_in_lanes.values()])
        print(f"  first {top} of its lane: {', '.join(shown)}; mean of modalities {mean:.2f}")
    if close:
        print(f"  {len(close)} results are called close, {np.mean(close):.2f} of the same class")
        print(f"  without the items of a text's class, {np.mean(alarms):.2f} still find one close")


def main() -> None:
    """Embed once, measure all orders."""
    card, embedded = embed()
    measure("by cosine", replace(card, unrelated=()), embedded)
    measure("calibrated", card, embedded)
    for name, own in (("calibrated", card), ("refined", refine(card, embedded))):
        measure_alarms(name, own, embedded["image"])


if __name__ == "__main__":
    main()

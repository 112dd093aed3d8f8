"""What items are called by words: counts of true classes and given names."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from openbind.evaluation.collection import EmbeddedItems
from openbind.evaluation.metrics import share_interval
from openbind.evaluation.report.contents import Naming
from openbind.evaluation.tasks import Confusion, Score
from openbind.modalities import TEXT
from openbind.space.vectors import unit_rows


def name_by_words(
    embedded: Sequence[EmbeddedItems], trained_pairs: Collection[tuple[str, str]]
) -> tuple[Naming, ...]:
    """Call the items of each data set by the words that it has for its classes.

    Args:
        embedded: one for each modality; without words among them there is nothing to call by.
        trained_pairs: modalities that were trained together, in both orders.
    """
    words = [some for some in embedded if some.modality == TEXT]
    found = []
    for some in embedded:
        for name in sorted(set(some.sets) & {name for other in words for name in other.sets}):
            if some.modality == TEXT:
                continue
            naming = name_items(
                some.of_set(name), words[0].of_set(name), (some.modality, TEXT) in trained_pairs
            )
            if naming is not None:
                found.append(naming)
    return tuple(found)


def name_items(some: EmbeddedItems, words: EmbeddedItems, trained: bool) -> Naming | None:
    """Call items by the nearest class, a class being the mean of the words for it.

    Args:
        some: items of one data set; those of a class without words are excluded.
        words: of the same data set.
        trained: whether the two were trained together.

    Returns:
        None if there is nothing to tell apart.
    """
    shown = {item.label for item in some.items}
    labels = tuple(sorted({item.label for item in words.items} & shown - {""}))
    if len(labels) < 2:
        return None
    own = np.array([item.label for item in words.items])
    classes_KE = unit_rows(
        np.stack([words.vectors_NE[own == label].mean(axis=0) for label in labels])
    )
    kept = [place for place, item in enumerate(some.items) if item.label in labels]
    true_Q = np.array([labels.index(some.items[place].label) for place in kept])
    called_Q = (some.vectors_NE[kept] @ classes_KE.T).argmax(axis=1)
    counts_CC = np.zeros((len(labels), len(labels)), int)
    np.add.at(counts_CC, (true_Q, called_Q), 1)
    share = float((true_Q == called_Q).mean())
    task = f"{some.modality} named by {TEXT}"
    return Naming(
        modality=some.modality,
        set=some.items[0].set,
        trained=trained,
        confusion=Confusion(task=task, classes=labels, counts_CC=counts_CC),
        accuracy=Score(
            task=task,
            metric="accuracy",
            value=share,
            chance=1 / len(labels),
            interval=share_interval(share, len(kept)),
            count=len(kept),
        ),
    )

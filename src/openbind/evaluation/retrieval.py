"""Search from one modality to another, both ways."""

from __future__ import annotations

import numpy as np

from openbind.embedding.cache import VectorCache
from openbind.embedding.files import embed_texts
from openbind.evaluation.metrics import chance_median_rank, chance_recall_at, ranks, share_interval
from openbind.evaluation.tasks import PairRetrieval, Score, TextRetrieval
from openbind.modalities import TEXT
from openbind.space.space import Space

RANKS = (1, 5, 10)


def search_texts(
    space: Space,
    task: TextRetrieval,
    vectors_KE: np.ndarray,
    cache: VectorCache | None = None,
    progress: bool = False,
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Search items by each of their captions, and captions by items.

    An item is found when any of its captions is (the convention of Clotho, AudioCaps and MSR-VTT).

    Args:
        space: embeds the captions.
        task: what is asked.
        vectors_KE: unit vectors of its items.
        cache: vectors of earlier runs, added to.
        progress: show a bar on stderr.

    Returns:
        for both directions a name, scores (queries, items) and, bool, which items answer which
        query.
    """
    captions = [caption for own in task.captions for caption in own]
    item_Q = np.repeat(np.arange(len(task.captions)), [len(own) for own in task.captions])
    captions_QE = embed_texts(space, TEXT, [[text] for text in captions], cache, progress)
    scores_QK = captions_QE @ vectors_KE.T
    relevant_QK = item_Q[:, None] == np.arange(len(task.captions))
    items = task.modality if task.added is None else f"{task.modality} + {task.added.modality}"
    return [
        (f"{TEXT} → {items}", scores_QK, relevant_QK),
        (f"{items} → {TEXT}", scores_QK.T, relevant_QK.T),
    ]


def search_pairs(
    task: PairRetrieval, vectors_NE: np.ndarray, other_NE: np.ndarray
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Search each side by the other: the answer to an item is the one of the same scene.

    Args:
        task: what is asked.
        vectors_NE, other_NE: unit vectors of both sides, scene by scene.

    Returns:
        as `search_texts` does.
    """
    scores_NN = vectors_NE @ other_NE.T
    same_NN = np.eye(len(vectors_NE), dtype=bool)
    return [
        (f"{task.modality} → {task.other.modality}", scores_NN, same_NN),
        (f"{task.other.modality} → {task.modality}", scores_NN.T, same_NN),
    ]


def measure_text_retrieval(
    space: Space, task: TextRetrieval, vectors_KE: np.ndarray
) -> list[Score]:
    """Measure search both ways, see `search_texts`."""
    searches = search_texts(space, task, vectors_KE)
    return [score for search in searches for score in measure_ranks(*search)]


def measure_ranks(name: str, scores_QK: np.ndarray, relevant_QK: np.ndarray) -> list[Score]:
    """Return R@1, R@5, R@10 and the median rank of one direction of search.

    Args:
        name: of the direction.
        scores_QK: (queries, items) higher is better.
        relevant_QK: bool, which items answer which query; queries without any are excluded.
    """
    rank_Q = ranks(scores_QK, relevant_QK)
    found = []
    for rank in RANKS:
        if rank > 1 and rank >= scores_QK.shape[1]:
            continue  # Among as many as there are, everything is found.
        share = float((rank_Q <= rank).mean())
        found.append(
            Score(
                task=name,
                metric=f"R@{rank}",
                value=share,
                chance=chance_recall_at(relevant_QK, rank),
                interval=share_interval(share, len(rank_Q)),
                count=len(rank_Q),
            )
        )
    median = Score(
        task=name,
        metric="median rank",
        value=float(np.median(rank_Q)),
        chance=chance_median_rank([relevant_QK[relevant_QK.any(axis=1)]]),
        count=len(rank_Q),
    )
    return [*found, median]

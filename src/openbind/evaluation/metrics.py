"""Accuracy and recall, with the level of chance."""

from __future__ import annotations

import numpy as np


def accuracy(scores_QK: np.ndarray, target_Q: np.ndarray) -> float:
    """Share of rows whose highest score is at their target.

    Args:
        scores_QK: (queries, classes) higher is better.
        target_Q: index of each query's class.
    """
    return float((scores_QK.argmax(axis=1) == target_Q).mean())


def recall_at(scores_QK: np.ndarray, relevant_QK: np.ndarray, k: int) -> float:
    """Share of queries with a relevant item among their k best (R@k).

    Args:
        scores_QK: (queries, items) higher is better.
        relevant_QK: bool, which items answer which query; queries without any are left out.
        k: how many are looked at.
    """
    answerable = relevant_QK.any(axis=1)
    best = np.argsort(-scores_QK[answerable], axis=1, kind="stable")[:, :k]
    return float(np.take_along_axis(relevant_QK[answerable], best, axis=1).any(axis=1).mean())


def chance_recall_at(relevant_QK: np.ndarray, k: int) -> float:
    """Recall@k of a random order: mean of 1 - C(items - relevant, k) / C(items, k)."""
    relevant_QK = relevant_QK[relevant_QK.any(axis=1)]
    items, relevant_Q = relevant_QK.shape[1], relevant_QK.sum(axis=1)
    missed_Q = np.ones(len(relevant_Q))
    for drawn in range(min(k, items)):
        missed_Q *= np.clip(items - relevant_Q - drawn, 0, None) / (items - drawn)
    return float((1 - missed_Q).mean())

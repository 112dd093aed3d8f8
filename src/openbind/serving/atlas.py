"""The cross-modal atlas: rows drawn from the index, laid out on a plane."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Literal

import numpy as np

from openbind.errors import MissingExtraError
from openbind.evaluation.report.atlas import project
from openbind.search.index import Index
from openbind.search.results import Hit
from openbind.serving.files import shown_path
from openbind.serving.schemas import AtlasDot, AtlasResponse
from openbind.space.vectors import unit_rows

Method = Literal["tsne", "pca"]
SEED = 0
"""Of the rows drawn and of the layout: a page that is opened again shows the same map."""


class Atlas:
    """Maps of an index, each computed once while the index stays as it is.

    Args:
        index: whose rows are shown.
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self._lock = threading.Lock()
        self._kept: dict[tuple[int, Method], tuple[int, AtlasResponse]] = {}

    def draw(self, count: int, method: Method) -> AtlasResponse:
        """Lay rows out; takes seconds for the first who asks, and others wait for the same.

        Args:
            count: rows at most.
            method: "tsne" keeps neighbors together, "pca" is quick.

        Raises:
            MissingExtraError: scikit-learn isn't there.
        """
        with self._lock:
            version = self.index.version
            kept = self._kept.get((count, method))
            if kept is None or kept[0] != version:
                kept = version, self._draw(count, method)
                self._kept[count, method] = kept
            return kept[1]

    def _draw(self, count: int, method: Method) -> AtlasResponse:
        hits, vectors_NE = self.index.sample(count, SEED)
        if len(hits) < 2:
            places_N2 = np.full((len(hits), 2), 0.5)
        else:
            centerd_NE = center([hit.modality for hit in hits], np.asarray(vectors_NE))
            places_N2 = project(centerd_NE, SEED) if method == "tsne" else flatten(centerd_NE)
        dots = [_dot(hit, *map(float, place)) for hit, place in zip(hits, places_N2, strict=True)]
        return AtlasResponse(object="atlas", method=method, data=dots)


def center(modalities: Sequence[str], vectors_NE: np.ndarray) -> np.ndarray:
    """Take each modality's mean off: otherwise every modality is an island of its own.

    Args:
        modalities: of the rows.
        vectors_NE: unit rows.

    Returns:
        (n, dim) float32 of unit length; zero for a modality of one row.
    """
    centerd_NE = np.array(vectors_NE, np.float32)
    names = np.asarray(modalities)
    for name in set(modalities):
        centerd_NE[names == name] -= centerd_NE[names == name].mean(axis=0)
    return unit_rows(centerd_NE)


def flatten(vectors_NE: np.ndarray) -> np.ndarray:
    """Project on the two directions of the greatest variance, scaled to 0..1.

    Raises:
        MissingExtraError: scikit-learn isn't there.
    """
    try:
        from sklearn.decomposition import PCA
    except ImportError as error:
        raise MissingExtraError("the atlas", "sklearn", "report") from error
    places_N2 = PCA(2, random_state=SEED).fit_transform(vectors_NE.astype(np.float64))
    low, high = places_N2.min(axis=0), places_N2.max(axis=0)
    placed: np.ndarray = (places_N2 - low) / np.where(high > low, high - low, 1.0)
    return placed


def _dot(hit: Hit, x: float, y: float) -> AtlasDot:
    return AtlasDot(
        id=hit.id,
        modality=hit.modality,
        path=shown_path(hit),
        x=x,
        y=y,
        start_seconds=hit.start_s,
        thumbnail_url=f"v1/items/{hit.id}/thumbnail",
    )

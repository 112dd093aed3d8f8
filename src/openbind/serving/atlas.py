"""The cross-modal atlas: a sample of the index on a plane, one map at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from openbind.evaluation.projection import Method, center_modalities, project
from openbind.search.index import Index
from openbind.search.results import Hit
from openbind.serving.hits import PublicIds, public_path
from openbind.serving.index_schemas import AtlasPoint, AtlasResponse
from openbind.serving.work import OverloadedError

COUNTS = (200, 400, 800, 1600, 5000, 20_000)
"""Sizes of maps; a requested count is rounded up to one of them."""
PROJECTED = 1600
"""Items that are projected; of a larger map the others are put beside their nearest of these."""
NEAREST = 3
CACHED_MAPS = 4
RETRY_SECONDS = 5
"""When to try again while another map is being computed."""
SEED = 0
"""Of the sample and of the layout: a page that is opened again shows the same map."""


class Atlas:
    """Computes maps of an index in one thread of its own, and caches the last few.

    Args:
        index: the index to sample.
        ids: of its rows, for clients.
    """

    def __init__(self, index: Index, ids: PublicIds) -> None:
        self.index = index
        self.ids = ids
        self._lock = threading.Lock()
        self._executor = ThreadPoolExecutor(1, "openbind-serve-atlas")
        self._maps: OrderedDict[tuple[int, int, Method], Future[AtlasResponse]] = OrderedDict()

    def draw(self, count: int, method: Method) -> Future[AtlasResponse]:
        """Return a map of the index as it is now: cached, being computed, or begun now.

        Args:
            count: items, rounded up to one of `COUNTS`; the index may have fewer.
            method: see `openbind.evaluation.projection.project`.

        Returns:
            a future, shared by everyone who wants this map; don't cancel it. It raises
            `MissingExtraError` without scikit-learn.

        Raises:
            OverloadedError: another map is being computed.
        """
        rounded = min((step for step in COUNTS if step >= count), default=COUNTS[-1])
        key = (self.index.version, rounded, method)
        with self._lock:
            found = self._maps.pop(key, None)
            if found is None or (found.done() and found.exception() is not None):
                if not all(future.done() for future in self._maps.values()):
                    raise OverloadedError(RETRY_SECONDS)
                found = self._executor.submit(self._compute, rounded, method)
            self._maps[key] = found
            while len(self._maps) > CACHED_MAPS:
                self._maps.popitem(last=False)
        return found

    def close(self) -> None:
        """End the thread after the map being computed, if any."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _compute(self, count: int, method: Method) -> AtlasResponse:
        hits, vectors_NE = self.index.sample(count, SEED)
        order = np.random.default_rng(SEED).permutation(len(hits))  # rows come in the index's order
        hits, vectors_NE = [hits[row] for row in order], vectors_NE[order]
        if len(hits) < 2:
            points_N2 = np.full((len(hits), 2), 0.5)
        else:
            centered_NE = center_modalities([hit.modality for hit in hits], vectors_NE)
            points_N2 = place(centered_NE, project(centered_NE[:PROJECTED], method, SEED))
        data = [
            self._point(hit, x, y) for hit, (x, y) in zip(hits, points_N2.tolist(), strict=True)
        ]
        return AtlasResponse(object="atlas", method=method, total=self.index.rows, data=data)

    def _point(self, hit: Hit, x: float, y: float) -> AtlasPoint:
        public_id = self.ids.public(hit.id)
        return AtlasPoint(
            id=public_id,
            modality=hit.modality,
            content=hit.hash,
            path=public_path(hit),
            x=x,
            y=y,
            start_seconds=hit.start_s,
            thumbnail_url=f"v1/items/{public_id}/thumbnail",
        )


def place(vectors_NE: np.ndarray, points_M2: np.ndarray) -> np.ndarray:
    """Return the points of all vectors, of which the first ones are known.

    Args:
        vectors_NE: N vectors.
        points_M2: of the first M.

    Returns:
        (N, 2) in [0, 1]; the others lie between their nearest of the first, the nearer the closer.
    """
    known_ME = vectors_NE[: len(points_M2)]
    placed = [points_M2]
    for start in range(len(points_M2), len(vectors_NE), len(points_M2)):
        cosines_NM = vectors_NE[start : start + len(points_M2)] @ known_ME.T
        nearest_NK = np.argpartition(-cosines_NM, NEAREST - 1, axis=1)[:, :NEAREST]
        weights_NK = np.maximum(np.take_along_axis(cosines_NM, nearest_NK, axis=1), 1e-6) ** 4
        weights_NK /= weights_NK.sum(axis=1, keepdims=True)
        placed.append((points_M2[nearest_NK] * weights_NK[..., None]).sum(axis=1))
    return np.concatenate(placed)

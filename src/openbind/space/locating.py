"""Locating: from an item and a query's vector to heat maps and moments, for `Space`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from openbind.errors import InputError, UnknownNameError, decoding
from openbind.localisation.heat import Dense, Localisation, find_boxes, score_cells
from openbind.localisation.moments import Curve, Moment, Span, find_moments
from openbind.modalities import MODALITIES, modality_of_recording
from openbind.modalities.spec import Extent, Modality, Sample, View
from openbind.model.tower import Tower
from openbind.space.inference import inferring, placed
from openbind.space.pipeline import run_tasks
from openbind.space.vectors import check_vectors

if TYPE_CHECKING:
    from openbind.space.decoding import Settings
    from openbind.space.space import Space

Method = Callable[["Space", str, Any, np.ndarray], Localisation]
"""(space, modality, image, unit vector of the query) → where it is."""


@dataclass(frozen=True)
class DenseImage:
    """An image with a vector for each cell; queries are compared with it at no cost.

    Args:
        cells_HWE: on the CPU.
        extent: what part of the image the cells cover.
        method: that computed them.
    """

    cells_HWE: torch.Tensor
    extent: Extent
    method: str

    def find(self, query_E: np.ndarray) -> Localisation:
        """Return where a query is."""
        heat = score_cells(self.cells_HWE, query_E)
        size, area = self.extent.size, self.extent.area
        boxes = find_boxes(heat, size, area)
        return Localisation(heat, boxes, None, self.method, size, area)


def locate(space: Space, image: Any, query: Any, modality: str, method: str) -> Localisation:
    """Return where in an image a query is; see `Space.locate`."""
    methods = METHODS
    if method not in methods:
        raise UnknownNameError("method", method, list(methods))
    return methods[method](space, modality, image, single_vector(query, space.dim))


def single_vector(given: Any, dim: int) -> np.ndarray:
    """Return one unit vector (dim,) float32.

    Raises:
        InputError: it isn't one.
    """
    rows = check_vectors(given, dim)
    if len(rows) != 1 or not np.isfinite(rows).all():
        raise InputError(given, f"expected one vector ({dim},) of finite numbers; pass one query")
    return np.asarray(rows[0], np.float32)


def read_dense(space: Space, modality: str, image: Any, *, plain: bool) -> DenseImage:
    """Compute the cells of an image.

    Args:
        space: has the modality.
        modality: of the image.
        image: as the modality accepts it.
        plain: as it is encoded, by the unchanged tower; otherwise all of it, enlarged.

    Raises:
        InputError: the image can't be used, or the tower has no cells.
    """
    tower = space.towers[space.config.modalities[modality].tower]
    if not isinstance(tower, Dense):
        reason = f"its tower, a {type(tower).__name__}, has no cells; {modality} can't be located"
        raise InputError(modality, reason)
    changes = () if plain else enlarged(space, modality, tower.enlarge)
    sample = decode_one(space, modality, image, changes)
    if sample.extent is None:
        raise InputError(image, f"{modality} has no area to locate in")
    with inferring(tower):
        cells_HWE = tower.cells(placed(sample.clips, tower), plain=plain)[0].float().cpu()
    return DenseImage(cells_HWE, sample.extent, "plain" if plain else "auto")


def patch_embeddings(space: Space, modality: str, tensor: torch.Tensor) -> torch.Tensor:
    """Return the vectors of patches or cells; see `Space.patch_embeddings`."""
    tower = space.towers[space.config.modalities[modality].tower]
    with inferring(tower):
        if isinstance(tower, Tower):
            _, tokens_BND = tower(placed(tensor, tower), tokens=True)
            return F.normalize(tower.head(tokens_BND).float(), dim=-1)
        if isinstance(tower, Dense):
            cells_BHWE: torch.Tensor = tower.cells(placed(tensor, tower), plain=True)
            return cells_BHWE.flatten(1, 2).float()
    raise InputError(modality, f"its tower is a {type(tower).__name__}, without patches or cells")


def decode_one(space: Space, modality: str, item: Any, changes: Settings) -> Sample:
    """Preprocess one item with changed settings."""
    return next(space.decoder.samples(modality, item, changes=changes))


def enlarged(space: Space, modality: str, factor: float) -> Settings:
    """Return the changes of settings that show all of an image, enlarged."""
    settings = space.config.modalities[modality].settings
    changes: Mapping[str, Any] = {"fit": "squash", "size": round(factor * settings.size)}
    known = {field.name for field in fields(settings)}
    return tuple((name, value) for name, value in changes.items() if name in known)


def _auto(space: Space, modality: str, image: Any, query_E: np.ndarray) -> Localisation:
    return read_dense(space, modality, image, plain=False).find(query_E)


def _plain(space: Space, modality: str, image: Any, query_E: np.ndarray) -> Localisation:
    return read_dense(space, modality, image, plain=True).find(query_E)


def find_in_recording(
    space: Space, recording: Any, query: Any, modality: str | None
) -> tuple[list[Moment], Curve]:
    """Return when in a recording a query is, with the curve; see `Space.moments`."""
    query_E = single_vector(query, space.dim)
    chosen = modality or modality_of_recording(recording, space.modalities)
    if chosen is None or chosen not in space.modalities:
        raise UnknownNameError(f"recordings of {space.name}", str(chosen), space.modalities)
    spec: Modality = MODALITIES.get(chosen)
    if spec.duration is None or spec.clip_seconds is None:
        raise InputError(recording, f"{chosen} has no moments; expected a recording")
    with decoding(recording), space.limits.applied():
        total = spec.duration(recording)
    clip = min(spec.clip_seconds(space.config.modalities[chosen].settings), total)
    if not total > 0:
        raise InputError(recording, "it is empty: a recording of 0 s has no moments")

    def score(spans: Sequence[Span]) -> list[float]:
        views = [View(span=span) for span in spans]
        decode = partial(space.decoder.samples, chosen, views=views)
        (found,) = run_tasks([(chosen, recording)], decode, space.batching())
        if found.error is not None:
            raise found.error
        return [float(vectors.mean_vector() @ query_E) for vectors in found.vectors]

    return find_moments(total, clip, score)


METHODS: dict[str, Method] = {"auto": _auto, "plain": _plain}

"""Locating: from an item and a query's vector to heat maps and moments, for `Space`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from openbind.errors import InputError, UnknownNameError, decoding
from openbind.localisation.backgrounds import Backgrounds
from openbind.localisation.crops import Window, make_windows, paint, spread, suppress
from openbind.localisation.heat import MOST_BOXES, Dense, Localisation, find_boxes, score_cells
from openbind.localisation.moments import Curve, Moment, Span, find_moments
from openbind.localisation.owlv2 import load_owlv2
from openbind.media.image import read_image
from openbind.modalities import MODALITIES, modality_of_recording
from openbind.modalities.spec import Extent, Modality, View
from openbind.model.tower import Tower
from openbind.space.backgrounds import load_backgrounds
from openbind.space.inference import inferring, placed
from openbind.space.pipeline import run_tasks
from openbind.space.vectors import check_vectors

if TYPE_CHECKING:
    from openbind.space.decoding import Settings
    from openbind.space.space import Space

MOSTLY_LAYOUT = 0.35
"""Of a query's squared length, what is in dimensions that cells don't have: where things are rather
than what. Such a query, of depth or thermal images, is compared with windows as wholes."""
AUTO, PLAIN, CROPS, OWLV2 = METHODS = ("auto", "plain", "crops", "owlv2")
"""How images are located in: by the best map, that of the unchanged tower, windows, or a detector
(`owlv2:SOURCE` names its folder or repository)."""


@dataclass(frozen=True)
class DenseImage:
    """An image with a vector for each cell; queries are compared with it at no cost.

    Args:
        cells_HWE: on the CPU.
        extent: what part of the image the cells cover.
        method: that computed them.
        backgrounds: returns what unrelated images look like.
    """

    cells_HWE: torch.Tensor
    extent: Extent
    method: str
    backgrounds: Callable[[], Backgrounds | None]

    def find(self, query_E: np.ndarray) -> Localisation:
        """Return where a query is."""
        heat = score_cells(self.cells_HWE, query_E)
        size, area = self.extent.size, self.extent.area
        boxes = find_boxes(heat, size, area)

        def measure_threshold() -> float | None:
            found = self.backgrounds()
            return None if found is None else found.threshold(query_E)

        return Localisation(heat, boxes, self.method, size, area, measure_threshold)


class OpenImage:
    """An image in which several queries are located: it goes through the tower once.

    Args:
        space: has the modality.
        image: as the modality accepts it.
        modality: of the image.
        method: one of `METHODS`.

    Raises:
        UnknownNameError: no such method.
    """

    def __init__(self, space: Space, image: Any, modality: str, method: str = AUTO) -> None:
        name, _, source = method.partition(":")
        if name not in METHODS or (source and name != OWLV2):
            raise UnknownNameError("method", method, METHODS)
        self.space, self.image, self.modality = space, image, modality
        self.method, self.source = name, source

    def find(self, query: Any) -> Localisation:
        """Return where a query, one unit vector (dim,), is; for "owlv2" also a text or an image.

        Raises:
            InputError: the image or the vector can't be used, or the tower has no cells.
        """
        if self.method == OWLV2:
            return detect(self.space, self.modality, self.image, query, self.source)
        query_E = single_vector(query, self.space.dim)
        if self.method == CROPS:
            return self._crops.find(query_E)
        dense = self._dense
        rest_E = query_E[dense.cells_HWE.shape[-1] :]
        if self.method == AUTO and float(rest_E @ rest_E) > MOSTLY_LAYOUT:
            return self._crops.find(query_E)
        return dense.find(query_E)

    @cached_property
    def _dense(self) -> DenseImage:
        return read_dense(self.space, self.modality, self.image, plain=self.method == PLAIN)

    @cached_property
    def _crops(self) -> CroppedImage:
        return read_crops(self.space, self.modality, self.image)


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
    method = PLAIN if plain else AUTO

    def read(item: Any, settings: Mapping[str, Any]) -> tuple[torch.Tensor, Extent]:
        changes = () if plain else resized(space, modality, tower.dense_size)
        changed = tuple({**settings, **dict(changes)}.items())
        sample = next(space.decoder.samples(modality, item, changes=changed))
        if sample.extent is None:
            raise InputError(item, f"{modality} has no area to locate in")
        with inferring(tower):
            cells_BHWE = tower.cells(placed(sample.clips, tower), plain=plain)
        return cells_BHWE[0].float().cpu(), sample.extent

    def backgrounds() -> Backgrounds | None:
        identity = f"{space.identity(modality)} {method}"
        return load_backgrounds(modality, identity, lambda *given: read(*given)[0])

    return DenseImage(*read(image, {}), method, backgrounds)


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


def resized(space: Space, modality: str, size_of: Callable[[int], int]) -> Settings:
    """Return the changes of settings that show all of an image, in another size."""
    settings = space.config.modalities[modality].settings
    changes: Mapping[str, Any] = {"fit": "squash", "size": size_of(settings.size)}
    known = {field.name for field in fields(settings)}
    return tuple((name, value) for name, value in changes.items() if name in known)


@dataclass(frozen=True)
class CroppedImage:
    """Overlapping windows of an image, each an image of its own.

    Args:
        windows: of the image.
        vectors_NE: of the windows.
        size: width and height of the image.
    """

    windows: Sequence[Window]
    vectors_NE: np.ndarray
    size: tuple[int, int]

    def find(self, query_E: np.ndarray) -> Localisation:
        """Return where a query is."""
        scores, (width, height) = self.vectors_NE @ query_E, self.size
        boxes = [
            (x0 * width, y0 * height, x1 * width, y1 * height, float(score))
            for (x0, y0, x1, y1), score in zip(self.windows, scores, strict=True)
        ]
        heat = spread(self.windows, scores)
        return Localisation(heat, suppress(boxes, MOST_BOXES), CROPS, self.size)


def read_crops(space: Space, modality: str, image: Any) -> CroppedImage:
    """Embed overlapping windows of an image.

    Raises:
        InputError: the image can't be used, or is none.
    """
    windows = make_windows()
    views = [View(box=(y0, x0, y1 - y0, x1 - x0)) for x0, y0, x1, y1 in windows]
    settings = resized(space, modality, lambda size: size)
    extent = next(space.decoder.samples(modality, image, changes=settings)).extent
    if extent is None:
        raise InputError(image, f"{modality} has no area to locate in")
    decode = partial(space.decoder.samples, modality, views=views, changes=settings)
    (found,) = run_tasks([(modality, image)], decode, space.batching())
    if found.error is not None:
        raise found.error
    vectors_NE = np.stack([vectors.mean_vector() for vectors in found.vectors])
    return CroppedImage(windows, vectors_NE, extent.size)


def detect(space: Space, modality: str, image: Any, query: Any, source: str = "") -> Localisation:
    """Return the boxes of a detector.

    Args:
        space, modality, image: as for `OpenImage`.
        query: a text or an image, which the detector compares with its boxes; or a vector of the
            space, which what is in the boxes is compared with.
        source: of the detector; "" is the default one.

    Raises:
        MissingExtraError: without the extra "detection".
        InputError: the image, the query or the detector can't be used.
    """
    with decoding(image), space.limits.applied():
        pixels = read_image(image)
    detector = load_owlv2(*([source] if source else []))
    if isinstance(query, str):
        boxes = detector.by_text(pixels, query)
    elif isinstance(query, Image.Image):
        boxes = detector.by_image(pixels, query)
    else:
        query_E = single_vector(query, space.dim)
        found = detector.everything(pixels)
        parts = [pixels.crop((int(x0), int(y0), ceil(x1), ceil(y1))) for x0, y0, x1, y1, _ in found]
        scores = space.encode(modality, parts) @ query_E
        boxes = [(*box[:4], float(s)) for box, s in zip(found, scores, strict=True)]
    best = suppress(boxes, MOST_BOXES)
    return Localisation(paint(best, pixels.size), best, OWLV2, pixels.size)


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

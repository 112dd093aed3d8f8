"""Space: modalities and towers that share one embedding. The thing users hold."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from openbind.configs import from_dict, to_dict
from openbind.errors import InputError, UnknownNameError
from openbind.modalities import MODALITIES
from openbind.modalities.spec import Modality, Preprocess, Sample
from openbind.model.tower import Tower
from openbind.space.card import Card
from openbind.space.config import Binding, SpaceConfig, write_space_config
from openbind.space.pipeline import ClipEmbedder, ClipVectors, clip_vectors, map_ahead, unit_rows

OnError = str | Callable[[int, InputError], None]
DEFAULT_BATCH_CLIPS = 32


class Space:
    """One embedding for several modalities.

    Made by `openbind.load`, not by hand.

    Args:
        config: what it is made of.
        towers: name → network, in the precision and on the device it is to run.
        card: how it came to be.
        folder: where files that travel with it (a vocabulary) are.

    Attributes:
        name, dim, modalities, card: as in the config and the card.
    """

    def __init__(
        self,
        config: SpaceConfig,
        towers: Mapping[str, torch.nn.Module],
        card: Card | None = None,
        folder: Path | None = None,
    ) -> None:
        self.config = config
        self.card = card or Card()
        self.folder = folder
        self.towers = {name: tower.eval().requires_grad_(False) for name, tower in towers.items()}
        self._prepared: dict[str, Preprocess] = {}

    @property
    def name(self) -> str:
        """What the space is called."""
        return self.config.name

    @property
    def dim(self) -> int:
        """Dimensions of the joint embedding."""
        return self.config.dim

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities that can be encoded."""
        return tuple(self.config.modalities)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of everything that decides a vector: the config and all weights."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(json.dumps(write_space_config(self.config), sort_keys=True).encode())
        for name in sorted(self.towers):
            for key, value in sorted(self.towers[name].state_dict().items()):
                digest.update(f"{name}.{key}".encode())
                digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    def __repr__(self) -> str:
        return f"Space({self.name!r}, dim={self.dim}, modalities={list(self.modalities)})"

    def encode(
        self,
        modality: str,
        items: Any,
        *,
        batch_size: int | None = None,
        pool: str | None = "mean",
        progress: bool = False,
        on_error: OnError = "raise",
    ) -> Any:
        """Embed items of one modality.

        Args:
            modality: one of `space.modalities`; it is never guessed.
            items: a list of paths, bytes, PIL images, arrays, (samples, rate) pairs or texts, as
                the modality accepts; an array of several images (n, H, W, 3); or one such item.
            batch_size: clips that go through the tower together; it doesn't change the order.
            pool: "mean" gives one vector an item: the mean over its clips, of unit length again.
                None gives, for each item, the (clips, dim) array of its clips' unit vectors with
                `times`, the (start, end) of each in seconds.
            progress: show a bar on stderr once the wait is longer than a second.
            on_error: "raise"; "warn" (a warning, and a row of NaN in the item's place); or a
                function called with (index, InputError), which also leaves a row of NaN.

        Returns:
            (n, dim) float32 with rows of unit length; (dim,) for a single item; a list of arrays
            for `pool=None`.

        Raises:
            InputError: an item can't be used, and why.
            UnknownNameError: the space has no such modality.
        """
        binding = self._binding(modality)
        single = not _is_many(items, _modality(modality).clip_dims)
        listed = [items] if single else list(items)
        if pool not in ("mean", None):
            raise ValueError(f"pool: expected 'mean' or None, found {pool!r}")
        samples = self._samples(modality, listed, on_error, progress)
        embed = ClipEmbedder(
            lambda clips: self._unit_clips(binding, clips).float().cpu(),
            batch_size or DEFAULT_BATCH_CLIPS,
        )
        rows: list[ClipVectors] = []
        window: list[Sample | None] = []
        for sample in samples:
            window.append(sample)
            if sum(len(s.clips) for s in window if s is not None) >= embed.batch_size:
                rows += self._embed_window(embed, window)
                window = []
        rows += self._embed_window(embed, window)
        if pool is None:
            return rows[0] if single else rows
        if not rows:
            return np.zeros((0, self.dim), np.float32)
        # An item of one clip keeps its vector bit-exactly; a mean has to be made a unit again.
        pooled = [r[0] if len(r) == 1 else unit_rows(r.mean(axis=0)) for r in rows]
        vectors = np.stack([np.asarray(row) for row in pooled])
        return vectors[0] if single else vectors

    def preprocess(self, modality: str, items: Any) -> torch.Tensor:
        """Turn items into the tensor that the tower gets.

        Args:
            modality: one of `space.modalities`.
            items: as in `encode`.

        Returns:
            (n, ...) for modalities that are never cut, such as (n, 3, 224, 224) for images and
            (n, tokens) for text; (n, clips, ...) for the others, such as (n, 3, 1, 128, 204).

        Raises:
            InputError: an item can't be used, or the items have different numbers of clips.
        """
        self._binding(modality)
        clip_dims = _modality(modality).clip_dims
        listed = list(items) if _is_many(items, clip_dims) else [items]
        found = self._samples(modality, listed, "raise", False)
        samples = [sample.clips for sample in found if sample is not None]
        shapes = {tuple(clips.shape) for clips in samples}
        if len(shapes) > 1:
            raise InputError(
                f"{len(samples)} {modality} items",
                f"they have different shapes {sorted(shapes)}; preprocess them one by one",
            )
        stacked = torch.stack(samples)
        cut = _modality(modality).has_clips or stacked.shape[1] > 1
        return stacked if cut else stacked.flatten(0, 1)

    def with_settings(self, modality: str, **changes: Any) -> Space:
        """Return the same space with other preprocessing for one modality; towers are shared.

        Args:
            modality: one of `space.modalities`.
            changes: fields of its settings, such as `clips="cover"` for audio.

        Raises:
            ConfigError: no such field (the nearest is named), or a wrong value.
        """
        binding = self._binding(modality)
        kind = _modality(modality).settings
        settings: Any = from_dict(kind, {**to_dict(binding.settings), **to_dict(changes)}, modality)
        modalities = {**self.config.modalities, modality: replace(binding, settings=settings)}
        config = replace(self.config, modalities=modalities)
        return Space(config, self.towers, self.card, self.folder)

    def tokens(self, modality: str, tensor: torch.Tensor) -> torch.Tensor:
        """Embed every token of preprocessed tensors, for localisation.

        Args:
            modality: one whose tower is a transformer.
            tensor: (batch, ...) as `preprocess` gives it for items that aren't cut.

        Returns:
            tokens_BNE float32 of unit length in the joint space: the summary token first if the
            tower has one, then the patches row by row.

        Raises:
            InputError: the modality's tower has no tokens.
        """
        tower = self.towers[self._binding(modality).tower]
        if not isinstance(tower, Tower):
            raise InputError(modality, f"its tower is a {type(tower).__name__}, without tokens")
        weight = next(tower.parameters())
        with torch.inference_mode():
            floating = tensor.is_floating_point()
            placed = tensor.to(weight.device, weight.dtype if floating else None)
            _, tokens_BND = tower(placed, tokens=True)
            return F.normalize(tower.head.project_tokens(tokens_BND).float(), dim=-1)

    def embed_tensors(
        self, tensors: Mapping[str, torch.Tensor], *, scaled: bool = False
    ) -> dict[str, torch.Tensor]:
        """Embed tensors that are preprocessed already.

        Args:
            tensors: modality, or name of a tower (then the number of axes tells which of its
                modalities is meant) → (batch, ...) or (batch, clips, ...).
            scaled: give the reference's outputs: unit vectors times the modality's logit scale,
                averaged over clips and not renormalized. Otherwise unit vectors.

        Returns:
            for each key a (batch, dim) tensor in the space's precision.

        Raises:
            InputError: a tensor has a number of axes that the modality doesn't take.
            UnknownNameError: a key that is neither a modality nor a tower.
        """
        return {key: self._embed_tensor(key, value, scaled) for key, value in tensors.items()}

    def similarity(self, a_modality: str, a: Any, b_modality: str, b: Any) -> np.ndarray:
        """Cosines of vectors or items; see `logits` for the arguments.

        Returns:
            (n, m) float32.
        """
        return np.asarray(self._vectors(a_modality, a) @ self._vectors(b_modality, b).T)

    def logits(self, a_modality: str, a: Any, b_modality: str, b: Any) -> np.ndarray:
        """Similarities with the scales that the model was trained with.

        Args:
            a_modality, b_modality: the modalities of `a` and `b`.
            a, b: vectors from `encode`, (n, dim) and (m, dim), or items to encode.

        Returns:
            (n, m) float32: scale_a · scale_b · cosine (the paper's temperatures, section 3).
        """
        scale = self._binding(a_modality).scale * self._binding(b_modality).scale
        return np.asarray(scale * self.similarity(a_modality, a, b_modality, b), dtype=np.float32)

    def _binding(self, modality: str) -> Binding:
        if modality not in self.config.modalities:
            raise UnknownNameError(f"modality of {self.name}", modality, self.modalities)
        return self.config.modalities[modality]

    def _prepare(self, modality: str) -> Preprocess:
        if modality not in self._prepared:
            settings = self._binding(modality).settings
            self._prepared[modality] = _modality(modality).prepare(settings, self.folder)
        return self._prepared[modality]

    def _samples(
        self, modality: str, items: Sequence[Any], on_error: OnError, progress: bool
    ) -> Iterable[Sample | None]:
        """Preprocess items ahead in threads; None stands for an item that can't be used."""
        results = map_ahead(self._prepare(modality), items)
        bar = tqdm(
            results, desc=modality, total=len(items), unit="item", delay=1, disable=not progress
        )
        for index, result in enumerate(bar):
            try:
                yield result()
            except InputError as error:
                _report(index, error, on_error)
                yield None

    def _embed_window(self, embed: ClipEmbedder, window: list[Sample | None]) -> list[ClipVectors]:
        clips = [clip for sample in window if sample is not None for clip in sample.clips]
        vectors = iter(embed(clips)) if clips else iter(())
        missing = np.full((1, self.dim), np.nan, np.float32)
        return [
            clip_vectors(missing, None)
            if sample is None
            else clip_vectors(np.stack([next(vectors) for _ in sample.clips]), sample.times)
            for sample in window
        ]

    @torch.inference_mode()
    def _unit_clips(self, binding: Binding, clips: torch.Tensor) -> torch.Tensor:
        tower = self.towers[binding.tower]
        weight = next(tower.parameters())
        placed = clips.to(weight.device, weight.dtype if clips.is_floating_point() else None)
        return F.normalize(tower(placed).float(), dim=-1)

    def _embed_tensor(self, key: str, tensor: torch.Tensor, scaled: bool) -> torch.Tensor:
        modality = self._modality_of(key, tensor.ndim)
        binding, clip_dims = self._binding(modality), _modality(modality).clip_dims
        batch = tensor.shape[0]
        flat = tensor.flatten(0, 1) if tensor.ndim == clip_dims + 2 else tensor
        unit = self._unit_clips(binding, flat) * (binding.scale if scaled else 1.0)
        mean = unit.view(batch, -1, unit.shape[-1]).mean(dim=1)
        return mean if scaled else F.normalize(mean, dim=-1)

    def _modality_of(self, key: str, axes: int) -> str:
        sharing = [n for n, b in self.config.modalities.items() if key in (n, b.tower)]
        named = [key] if key in self.config.modalities else sharing
        if not named:
            towers = (b.tower for b in self.config.modalities.values())
            raise UnknownNameError("modality or tower", key, [*self.modalities, *towers])
        for name in named:
            if axes - _modality(name).clip_dims in (1, 2):
                return name
        expected = " or ".join(str(_modality(n).clip_dims + 1) for n in named)
        raise InputError(
            f"tensor for {key!r}", f"expected {expected} axes (one more with clips), found {axes}"
        )

    def _vectors(self, modality: str, given: Any) -> np.ndarray:
        if isinstance(given, np.ndarray) and given.ndim == 2 and given.shape[1] == self.dim:
            return given
        return np.asarray(np.atleast_2d(self.encode(modality, given)))


def combine(parts: Sequence[tuple[Any, float]]) -> np.ndarray:
    """Add unit vectors with weights, and make the sum a unit vector (paper, appendix B.4).

    Args:
        parts: (vector, weight) pairs; a vector is (dim,) or (n, dim) and is made of unit length
            first, so that scaled outputs count the same; negative weights subtract.

    Returns:
        float32 unit vector(s) of the parts' shape.

    Raises:
        ValueError: no parts, different dimensions, a weight that isn't finite, or a zero sum.
    """
    if not parts:
        raise ValueError("combine needs at least one (vector, weight) pair")
    vectors = [unit_rows(np.asarray(vector)) for vector, _ in parts]
    weights = [float(weight) for _, weight in parts]
    if len({vector.shape[-1] for vector in vectors}) > 1:
        raise ValueError(f"vectors of different dimensions: {[v.shape for v in vectors]}")
    if not np.isfinite(weights).all():
        raise ValueError(f"weights must be finite numbers, found {weights}")
    total = sum(w * v.astype(np.float64) for v, w in zip(vectors, weights, strict=True))
    if not (np.linalg.norm(total, axis=-1) > 1e-9).all():
        raise ValueError("the weighted vectors cancel each other: their sum has no direction")
    return unit_rows(np.asarray(total))


def _modality(name: str) -> Modality:
    found: Modality = MODALITIES.get(name)
    return found


def _is_many(items: Any, clip_dims: int) -> bool:
    """Return whether `items` holds several: a list, an iterator, a tuple other than (x, rate).

    An array is one item, unless it has more axes than an item's tensor: then it holds several.
    """
    if isinstance(items, tuple):
        return not (len(items) == 2 and isinstance(items[1], int | float | np.number))
    if isinstance(items, str | bytes | os.PathLike | Mapping):
        return False
    if hasattr(items, "__array__"):
        return getattr(items, "ndim", 0) > clip_dims
    return isinstance(items, Iterable) and not hasattr(items, "getbands")


def _report(index: int, error: InputError, on_error: OnError) -> None:
    if callable(on_error):
        on_error(index, error)
    elif on_error == "warn":
        warnings.warn(str(error), stacklevel=2)
    elif on_error == "raise":
        raise error
    else:
        raise ValueError(f"on_error: expected 'raise', 'warn' or a function, found {on_error!r}")

"""Space: modalities and towers that share one embedding. The thing users hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from openbind.errors import InputError, UnknownNameError
from openbind.generation.decoder import HOW_TO_DRAW, generate
from openbind.generation.decoder import Decoder as ImageDecoder
from openbind.limits import LIBRARY, ItemLimits
from openbind.localisation.heat import Localisation
from openbind.modalities import IMAGE, MODALITIES
from openbind.modalities.spec import Modality
from openbind.space.card import Card
from openbind.space.config import Binding, SpaceConfig
from openbind.space.decoding import Decoder, map_ahead
from openbind.space.identity import fingerprint, modality_identity
from openbind.space.inference import embed_clips, unit_vectors
from openbind.space.inputs import OnError, is_many, modality_of_tensor, report_error, stack_items
from openbind.space.locating import OpenImage, find_in_recording, patch_embeddings
from openbind.space.pipeline import Batching, run_tasks
from openbind.space.vectors import ClipVectors, check_vectors, clip_vectors


class Space:
    """One embedding for several modalities. Made by `openbind.load`, not by hand.

    Args:
        config: towers, modalities and their settings.
        towers: name → network, in the precision and on the device it is to run. They are shared
            with the caller and not changed: a network in training mode runs in evaluation mode
            for the length of a call.
        card: sources, licenses and measured numbers.
        folder: where files that travel with the checkpoint (a vocabulary) are.
        limits: of each item.
        generator: draws images from vectors; None if the space has none.

    Attributes:
        name, dim, modalities, card: as in the config and the card.
    """

    def __init__(
        self,
        config: SpaceConfig,
        towers: Mapping[str, torch.nn.Module],
        card: Card | None = None,
        folder: Path | None = None,
        limits: ItemLimits = LIBRARY,
        generator: ImageDecoder | None = None,
    ) -> None:
        self.config = config
        self.generator = generator
        self.card = card or Card()
        self.folder = folder
        self.towers = dict(towers)
        settings = {name: binding.settings for name, binding in config.modalities.items()}
        self.decoder = Decoder(settings, folder, limits)

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

    @property
    def device(self) -> torch.device:
        """Where the towers are."""
        weights = (weight for tower in self.towers.values() for weight in tower.parameters())
        first = next(weights, None)
        return torch.device("cpu") if first is None else first.device

    def to(self, device: str | torch.device, dtype: torch.dtype | None = None) -> Space:
        """Move the towers, in place.

        Args:
            device: what `torch.device` takes.
            dtype: precision to compute in; None keeps it.

        Returns:
            the space itself.
        """
        for tower in self.towers.values():
            tower.to(device, dtype)
        if dtype is not None:
            self._identities.clear()
            self.__dict__.pop("fingerprint", None)
        return self

    def identity(self, modality: str) -> str:
        """Return a hash of everything that decides a number in a modality's vectors.

        That is the settings of its preprocessing and their version, files that these need, and the
        tower's architecture, weights and precision. Names count in nothing. It is computed once,
        when it is first needed.

        Raises:
            UnknownNameError: the space has no such modality.
        """
        binding = self._binding(modality)
        if modality not in self._identities:
            spec, tower = self.config.towers[binding.tower], self.towers[binding.tower]
            self._identities[modality] = modality_identity(
                modality, binding.settings, spec, tower, self.folder
            )
        return self._identities[modality]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the identities of all modalities, and of the scales of their logits."""
        scales = {name: binding.scale for name, binding in self.config.modalities.items()}
        return fingerprint({name: (self.identity(name), scales[name]) for name in scales})

    @cached_property
    def _identities(self) -> dict[str, str]:
        return {}

    def __repr__(self) -> str:
        return f"Space({self.name!r}, dim={self.dim}, modalities={list(self.modalities)})"

    def encode(
        self,
        modality: str,
        items: Any,
        *,
        batch_size: int | None = None,
        workers: int | None = None,
        device: str | None = None,
        pool: str | None = "mean",
        progress: bool = False,
        on_error: OnError = "raise",
    ) -> Any:
        """Embed items of one modality.

        Args:
            modality: one of `space.modalities`; it is never guessed.
            items: a list of paths, bytes, PIL images, arrays, (samples, rate) pairs or texts, as
                the modality accepts; an array of several items (n, …), a pandas Series; or one
                such item.
            batch_size: clips that go through the tower together; None chooses by device and size.
            workers: threads that decode ahead of the tower; None takes one a core, 2 to 8.
            device: where to compute; None takes the device the space is on, another moves it.
            pool: "mean" returns one vector an item: the mean over its clips, of unit length again.
                None returns, for each item, the (clips, dim) array of its clips' unit vectors with
                `times`, the (start, end) of each in seconds.
            progress: show a bar on stderr once the wait is longer than a second.
            on_error: "raise"; "warn" (a warning, and a row of NaN in the item's stead); or a
                function called with (index, InputError), which also leaves a row of NaN.

        Returns:
            (n, dim) float32 with rows of unit length; (dim,) for a single item; a list of arrays
            for `pool=None`.

        Raises:
            InputError: an item can't be used, and why.
            UnknownNameError: the space has no such modality.
        """
        self._binding(modality)
        if pool not in ("mean", None):
            raise ValueError(f"pool: expected 'mean' or None, found {pool!r}")
        if device is not None:
            self.to(device)
        single = not is_many(items, _modality(modality))
        tasks = [(modality, item) for item in ([items] if single else items)]
        rows: list[ClipVectors] = []
        decode = partial(self.decoder.samples, modality)
        bar = tqdm(total=len(tasks), desc=modality, unit="item", delay=1, disable=not progress)
        with bar:
            for found in run_tasks(tasks, decode, self.batching(batch_size), workers=workers):
                error = found.error or found.vectors[0].find_defect(found.task)
                if error is not None:
                    report_error(len(rows), error, on_error)
                    found.vectors = [clip_vectors(np.full((1, self.dim), np.nan, np.float32))]
                rows.append(found.vectors[0])
                bar.update()
        if pool is None:
            return rows[0] if single else rows
        if not rows:
            return np.zeros((0, self.dim), np.float32)
        vectors = np.stack([row.mean_vector() for row in rows])
        return vectors[0] if single else vectors

    def batching(self, batch_size: int | None = None) -> Batching:
        """Return what runs clips through the towers, as `run_tasks` takes it."""
        return Batching(self._unit_clips, batch_size, self.device.type)

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
        listed = items if is_many(items, _modality(modality)) else [items]
        decode = partial(self.decoder.preprocess, modality)
        stacked = stack_items(modality, [result().clips for result in map_ahead(decode, listed)])
        cut = _modality(modality).has_clips or stacked.shape[1] > 1
        return stacked if cut else stacked.flatten(0, 1)

    def with_settings(self, modality: str, **changes: Any) -> Space:
        """Return the same space with other preprocessing for one modality; towers are shared.

        Args:
            modality: one of `space.modalities`.
            changes: fields of its settings, such as `clips="cover"` for audio.

        Raises:
            ConfigError: no such field, or a wrong value.
        """
        binding = self._binding(modality)
        settings = _modality(modality).change(binding.settings, changes)
        modalities = {**self.config.modalities, modality: replace(binding, settings=settings)}
        return self._changed(config=replace(self.config, modalities=modalities))

    @property
    def limits(self) -> ItemLimits:
        """What one item may take (`openbind.limits`); no vector depends on them."""
        return self.decoder.limits

    def with_limits(self, limits: ItemLimits | None = None, **changes: float) -> Space:
        """Return the same space with other limits of items; towers are shared.

        Args:
            limits: `LIBRARY`, `COMMAND_LINE`, `SERVICE` or others; None keeps them.
            changes: fields to change, such as `seconds=7200`, as `ItemLimits.changed`.
        """
        return self._changed(limits=(limits or self.limits).changed(**changes))

    def with_generator(self, generator: ImageDecoder) -> Space:
        """Return the same space with another decoder for `generate`; towers are shared.

        `openbind.evaluation.decoders.open_decoder` opens one that fits the space.
        """
        return self._changed(generator=generator)

    def generate(self, vectors: Any, **options: Any) -> Any:
        """Draw images from vectors of this space, whatever they were computed from.

        Args:
            vectors: one unit vector (dim,), or several (count, dim).
            options: `modality`, `n`, `seed` and more, of `openbind.generation.decoder.generate`.

        Returns:
            `n` RGB images; for several vectors a list of `n` for each.

        Raises:
            InputError: the space has no decoder, or a vector or number can't be used.
        """
        if self.generator is None:
            raise InputError(self.name, f"no decoder draws from its vectors; {HOW_TO_DRAW}")
        look = partial(self.encode, IMAGE) if IMAGE in self.modalities else None
        return generate(self.generator, vectors, look=look, **options)

    def locate(
        self, image: Any, query: Any, *, modality: str = IMAGE, method: str = "auto"
    ) -> Localisation:
        """Find where in an image a query of any modality is.

        Args:
            image, modality: an item, and what it is read as.
            query: one unit vector (dim,) of this space.
            method: "auto", "plain" (of the unchanged tower; the mean of the starter's map is the
                cosine), or another of docs/localisation.md.
        """
        self._binding(modality)
        return OpenImage(self, image, modality, method).find(query)

    def moments(
        self, recording: Any, query: Any, *, modality: str | None = None
    ) -> list[tuple[float, float, float]]:
        """Find when in a recording of any length a query is; it is decoded as it is scored.

        Args:
            recording, modality: an item, and what it is read as (None: by its file's extension).
            query: one unit vector (dim,) of this space.

        Returns:
            (start, end, score) in seconds, best first; the score is the highest cosine.
        """
        return find_in_recording(self, recording, query, modality)[0]

    def patch_embeddings(self, modality: str, tensor: torch.Tensor) -> torch.Tensor:
        """Embed every patch or cell of preprocessed tensors.

        Args:
            modality: of images.
            tensor: (batch, ...) as `preprocess` returns it for items that aren't cut.

        Returns:
            tokens_BNE float32, row by row: unit vectors, the class token first if there is one; of
            the starter cells, (batch, 81, 384), whose mean is the content part of the unit vector.
        """
        self._binding(modality)
        return patch_embeddings(self, modality, tensor)

    def embed_tensors(
        self, tensors: Mapping[str, torch.Tensor], *, scaled: bool = False
    ) -> dict[str, torch.Tensor]:
        """Embed tensors that are preprocessed already.

        Args:
            tensors: modality, or name of a tower (then the number of axes tells which of its
                modalities is meant) → (batch, ...) or (batch, clips, ...).
            scaled: return the reference's outputs: unit vectors times the modality's logit scale,
                averaged over clips and not renormalized. Otherwise unit vectors.

        Returns:
            for each key a (batch, dim) tensor in the space's precision.

        Raises:
            InputError: a tensor has a number of axes that the modality doesn't take.
            UnknownNameError: a key that is neither a modality nor a tower.
        """
        return {key: self._embed_tensor(key, value, scaled) for key, value in tensors.items()}

    def similarity(self, a_NE: Any, b_ME: Any) -> np.ndarray:
        """Return the cosines of two sets of vectors.

        Args:
            a_NE, b_ME: unit vectors from `encode`: (n, dim) and (m, dim), or one vector (dim,).

        Returns:
            (n, m) float32.

        Raises:
            InputError: not vectors of this space; items have to be encoded first.
        """
        a_NE, b_ME = check_vectors(a_NE, self.dim), check_vectors(b_ME, self.dim)
        return np.asarray(a_NE @ b_ME.T, np.float32)

    def logits(self, a_modality: str, a_NE: Any, b_modality: str, b_ME: Any) -> np.ndarray:
        """Return similarities with the scales that the model was trained with.

        Args:
            a_modality, b_modality: the modalities of `a` and `b`.
            a_NE, b_ME: unit vectors from `encode`, as for `similarity`.

        Returns:
            (n, m) float32: scale_a · scale_b · cosine (the paper's section 3).

        Raises:
            InputError, UnknownNameError: not vectors of this space; no such modality.
        """
        scale = self._binding(a_modality).scale * self._binding(b_modality).scale
        return np.asarray(scale * self.similarity(a_NE, b_ME), dtype=np.float32)

    def _changed(self, **changes: Any) -> Space:
        names = ("config", "towers", "card", "folder", "limits", "generator")
        return Space(**{**{name: getattr(self, name) for name in names}, **changes})

    def _binding(self, modality: str) -> Binding:
        if modality not in self.config.modalities:
            raise UnknownNameError(f"modality of {self.name}", modality, self.modalities)
        return self.config.modalities[modality]

    def _unit_clips(self, modality: str, clips: torch.Tensor) -> torch.Tensor:
        return unit_vectors(self.towers[self._binding(modality).tower], clips)

    def _embed_tensor(self, key: str, tensor: torch.Tensor, scaled: bool) -> torch.Tensor:
        modality = modality_of_tensor(self.config, key, tensor.ndim)
        binding, axes = self._binding(modality), _modality(modality).clip_dims
        scale = binding.scale if scaled else None
        return embed_clips(self.towers[binding.tower], tensor, axes, scale)


_modality: Callable[[str], Modality] = MODALITIES.get

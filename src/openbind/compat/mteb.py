"""A space as mteb's models are, for its tasks of text, images, sounds and video.

    mteb.evaluate(Encoder("starter"), mteb.get_benchmark("MAEB(v1)"))

Files of data sets are decoded by openbind, so torchaudio, torchvision and torchcodec aren't needed.
Source: the interface `AbsEncoder` of mteb 2.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from tqdm import tqdm

from openbind.catalog import load
from openbind.errors import InputError, MissingExtraError
from openbind.space.space import Space
from openbind.space.vectors import combine

try:
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ModelMeta, ScoringFunction
except ImportError as error:
    raise MissingExtraError("evaluating by mteb", "mteb", "mteb") from error

KNOWN = ("text", "image", "audio", "video")
"""Modalities that mteb has; its tasks have no others."""


class Encoder(AbsEncoder):  # type: ignore[misc]
    """Embeds the items of mteb's tasks; one of several modalities is the sum of their vectors.

    Args:
        space: a space, or what `openbind.load` takes.

    Attributes:
        mteb_model_meta: name, dimensions, modalities and license of the space, and its fingerprint
            as revision.
    """

    def __init__(self, space: Space | str) -> None:
        self.space = space if isinstance(space, Space) else load(space)
        self.model = self.space
        known = [name for name in KNOWN if name in self.space.modalities]
        about = {
            "name": f"openbind/{re.sub(r'[^A-Za-z0-9.-]+', '-', self.space.name)}",
            "revision": self.space.fingerprint,
            "embed_dim": self.space.dim,
            "modalities": known,
            "similarity_fn_name": ScoringFunction.COSINE,
            "use_instructions": False,
        }
        self.mteb_model_meta = ModelMeta.create_empty(about)

    def encode(
        self,
        inputs: Any,
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,
        batch_size: int = 32,
        show_progress_bar: bool = True,
        **options: Any,
    ) -> np.ndarray:
        """Embed a data set.

        Args:
            inputs: a loader of mteb's; its data set is read, not its batches.
            task_metadata, hf_split, hf_subset, prompt_type, options: of mteb; not needed here.
            batch_size: rows that are in memory together.
            show_progress_bar: as its name says.

        Returns:
            (n, dim) float32 with rows of unit length.

        Raises:
            InputError: the data set has no modality of the space, or an item can't be used.
        """
        data = _undecoded(inputs.dataset)
        columns = [name for name in KNOWN if name in data.column_names]
        own = [name for name in columns if name in self.space.modalities]
        if not own:
            found = ", ".join(columns) or "none"
            known = ", ".join(self.space.modalities)
            raise InputError(data, f"{self.space.name} has the modalities {known}; found {found}")
        starts = range(0, len(data), batch_size)
        bar = tqdm(starts, desc=", ".join(own), unit="batch", disable=not show_progress_bar)
        rows = [self._embed(data[at : at + batch_size], own) for at in bar]
        return np.concatenate(rows) if rows else np.zeros((0, self.space.dim), np.float32)

    def _embed(self, batch: dict[str, list[Any]], modalities: list[str]) -> np.ndarray:
        """Embed rows; a row may lack all modalities but one."""
        parts: list[list[tuple[np.ndarray, float]]] = [[] for _ in batch[modalities[0]]]
        for modality in modalities:
            given = [(at, item) for at, item in enumerate(batch[modality]) if item is not None]
            vectors = self.space.encode(modality, [_item(item) for _, item in given])
            for (at, _), vector in zip(given, vectors, strict=True):
                parts[at].append((vector, 1.0))
        return np.stack([combine(own) for own in parts]).astype(np.float32)


def _undecoded(data: Any) -> Any:
    """Return a data set whose files stay bytes or paths."""
    for name, feature in data.features.items():
        if name in KNOWN and getattr(feature, "decode", False):
            data = data.cast_column(name, type(feature)(decode=False))
    return data


def _item(item: Any) -> Any:
    """Return an item as a space takes it: a file, frames with their rate, samples, or as it is."""
    if not isinstance(item, dict):
        return item
    if "path" in item or "bytes" in item:
        return item.get("bytes") or item["path"]
    if "fps" in item:
        return np.asarray(item["array"], np.uint8), item["fps"]
    return {**item, "array": np.asarray(item["array"], np.float32)}

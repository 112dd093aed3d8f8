"""A space as the first module of a SentenceTransformer, for all that is built on them.

    SentenceTransformer(modules=[OpenBind("starter")]).encode([{"audio": "bark.wav"}, "a dog"])

Source: the interface of input modules in sentence-transformers 6.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from openbind.catalog import load
from openbind.checkpoints import native
from openbind.errors import InputError, MissingExtraError
from openbind.modalities import TEXT
from openbind.space.space import Space
from openbind.space.vectors import combine

try:
    from sentence_transformers.base.modality import infer_modality
    from sentence_transformers.base.modules import InputModule
except ImportError as error:
    purpose = "encoding through sentence-transformers"
    raise MissingExtraError(purpose, "sentence_transformers", "st") from error

FOLDER = "space"
"""Of the space in a saved model."""
MESSAGE = "message"
"""What sentence-transformers calls chat messages, and batches of several modalities."""
NAMED = ("text", "image", "audio", "video")
"""Modalities that sentence-transformers has names for; others are keys of dictionaries."""
Part = tuple[str, Any]
"""A modality and an item of it."""


class OpenBind(InputModule):  # type: ignore[misc]
    """Embeds items of all modalities of a space, as unit vectors, without gradients.

    An item is what sentence-transformers takes (a text, a path or URL by its extension, an image,
    an array), or a dictionary of one modality ({"depth": path}); a dictionary of several, or a
    message of several parts, is embedded as the sum of their unit vectors. Batches may mix
    modalities. A prompt goes before texts.

    Args:
        space: a space, or what `openbind.load` takes.
    """

    def __init__(self, space: Space | str) -> None:
        super().__init__()
        self.space = space if isinstance(space, Space) else load(space)
        self.towers = nn.ModuleDict(self.space.towers)  # moved with the model

    @property
    def modalities(self) -> list[Any]:
        """Modalities that sentence-transformers may send; depth and so on come unasked."""
        return [*(name for name in NAMED if name in self.space.modalities), MESSAGE]

    def get_embedding_dimension(self) -> int:
        """Return the dimension of the space."""
        return self.space.dim

    def preprocess(
        self, inputs: Sequence[Any], prompt: str | None = None, **options: Any
    ) -> dict[str, Any]:
        """Return the parts of each item; they are read when they are embedded.

        Raises:
            InputError: an item of no modality of the space.
        """
        rows = [list(self._parts(item)) for item in inputs]
        if prompt:
            rows = [[(m, prompt + x if m == TEXT else x) for m, x in parts] for parts in rows]
        return {"parts": rows}

    def forward(self, features: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Add `sentence_embedding`: embed_BE float32, unit vectors.

        Raises:
            InputError: an item can't be used.
        """
        rows: list[list[Part]] = features["parts"]
        vectors = self._encode([part for parts in rows for part in parts])
        taken = iter(vectors)
        found = [combine([(next(taken), 1.0) for _ in parts]) for parts in rows]
        embed_BE = torch.from_numpy(np.stack(found).astype(np.float32))
        return {**features, "sentence_embedding": embed_BE.to(self.space.device)}

    def _encode(self, parts: Sequence[Part]) -> list[np.ndarray]:
        """Return the vector of each part; those of one modality are embedded together."""
        found: dict[int, np.ndarray] = {}
        for modality in dict.fromkeys(name for name, _ in parts):
            own = [at for at, (name, _) in enumerate(parts) if name == modality]
            items = [parts[at][1] for at in own]
            found.update(zip(own, self.space.encode(modality, items), strict=True))
        return [found[at] for at in range(len(parts))]

    def _parts(self, item: Any) -> Iterable[Part]:
        if isinstance(item, Mapping) and "role" in item:
            item = [item]
        if isinstance(item, list) and item and isinstance(item[0], Mapping):
            return [part for message in item for part in self._message(message)]
        if not isinstance(item, Mapping) or "array" in item:
            modality = infer_modality(item, supported_modalities=self.modalities)
            item = {modality: item}
        return [self._part(name, each) for name in item for each in _several(item[name])]

    def _message(self, message: Mapping[str, Any]) -> Iterable[Part]:
        content = message.get("content", "")
        parts = [{"type": TEXT, TEXT: content}] if isinstance(content, str) else content
        return [self._part(part["type"], part.get(part["type"])) for part in parts]

    def _part(self, modality: str, item: Any) -> Part:
        if modality not in self.space.modalities:
            known = ", ".join(self.space.modalities)
            raise InputError(
                item, f"{self.space.name} has no modality {modality!r}; it has {known}"
            )
        if isinstance(item, Mapping) and "video_metadata" in item:
            metadata = item["video_metadata"] or {}
            return modality, (_frames(item["array"]), metadata.get("fps"))
        return modality, item

    def save(self, output_path: str, *arguments: Any, **options: Any) -> None:
        """Save the space beside the model's own files."""
        native.save(self.space, Path(output_path) / FOLDER)

    @classmethod
    def load(
        cls,
        model_name_or_path: str,
        subfolder: str = "",
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        **options: Any,
    ) -> OpenBind:
        """Load what `save` wrote: from a directory, or a repository of the Hugging Face Hub."""
        folder = cls.load_dir_path(
            model_name_or_path,
            subfolder=str(PurePosixPath(subfolder) / FOLDER),
            token=token,
            cache_folder=cache_folder,
            revision=revision,
            local_files_only=local_files_only,
        )
        return cls(load(folder, device="cpu"))


def _several(item: Any) -> list[Any]:
    """Return the items of a list, or one item as a list; pairs (values, rate) are one."""
    return item if isinstance(item, list) else [item]


def _frames(frames: Any) -> np.ndarray:
    """Return frames_THWC of an array or tensor that may have its channels before its rows."""
    values = frames.cpu().numpy() if isinstance(frames, Tensor) else np.asarray(frames)
    is_first = values.ndim == 4 and values.shape[1] == 3 and values.shape[-1] != 3
    return values.transpose(0, 2, 3, 1) if is_first else values

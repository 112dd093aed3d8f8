"""A model of sentence-transformers as a tower: it tokenizes, resizes and computes by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn

from openbind.configs import Range, Width
from openbind.errors import CheckpointError
from openbind.model.backbones.reference import no_weights, read_texts


@dataclass(frozen=True, kw_only=True)
class SentenceTransformerConfig:
    """Which model embeds, and how it is asked.

    Args:
        name: of a repository of the Hugging Face Hub, or the path of a directory.
        revision: the repository's commit; of a directory "sha256:" and a digest of its files.
        part: what the model calls the input: "text", "image", "audio" or "video".
        embed_dim: of the vectors, of which models that allow it are truncated.
        prompt: put before each input by the model.
        rate_hz: of its inputs: samples, or frames, per second; 0 of inputs without time.
    """

    name: str
    revision: str
    part: str
    embed_dim: Width
    prompt: str = ""
    rate_hz: Annotated[float, Range(0, 400_000)] = 0.0


class SentenceTransformerTower(nn.Module):
    """Hands decoded items to a model that other towers share; it has no weights of its own.

    Args:
        config: of the tower.
        model: a `SentenceTransformer`; None is a tower that can't embed.
    """

    config_type = SentenceTransformerConfig
    is_reference = True
    state_dict = no_weights  # type: ignore[assignment]
    input_dtype = torch.float32
    """Samples keep their precision, whatever the model's weights have."""

    def __init__(self, config: SentenceTransformerConfig, model: Any = None) -> None:
        super().__init__()
        self.config = config
        self.model = model

    def forward(self, items: Tensor) -> Tensor:
        """Embed items of one shape.

        Args:
            items: bytes_BN uint8 of texts, image_BCHW uint8, video_BCTHW uint8, or samples
                (B, 1, 1, T) float32.

        Returns:
            embed_BE, unit rows.
        """
        if self.model is None:
            raise CheckpointError(self.config.name, "the model of this tower isn't open")
        given = [{self.config.part: self._to_input(item)} for item in items.cpu()]
        options: dict[str, Any] = {}
        if items.ndim == 5:  # the frames are chosen already
            options["processing_kwargs"] = {self.config.part: {"do_sample_frames": False}}
        found: Tensor = self.model.encode(
            given,
            batch_size=len(given),
            prompt=self.config.prompt,
            truncate_dim=self.config.embed_dim,
            normalize_embeddings=True,
            convert_to_tensor=True,
            show_progress_bar=False,
            **options,
        )
        return found

    def _to_input(self, item: Tensor) -> Any:
        """Return one item as the model takes it."""
        if item.ndim == 1:
            return read_texts(item[None])[0]
        if item.is_floating_point():
            return {"array": item.flatten().numpy(), "sampling_rate": int(self.config.rate_hz)}
        if item.ndim == 3:
            return _to_image(item.permute(1, 2, 0).numpy())
        frames_THWC = np.ascontiguousarray(item.permute(1, 2, 3, 0).numpy())
        return {"array": frames_THWC, "video_metadata": self._describe(len(frames_THWC))}

    def _describe(self, frames: int) -> dict[str, Any]:
        fps = self.config.rate_hz
        return {
            "fps": fps,
            "total_num_frames": frames,
            "duration": frames / fps,
            "frames_indices": list(range(frames)),
        }


def _to_image(pixels_HWC: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(pixels_HWC))

"""PE-AV as towers: sounds, frames and texts, of which each space takes one of three text heads.

The network and its tokenizer are those of Transformers. Only parts of it are called: its own
methods for texts and frames fail, and read texts after a normalization that training didn't have
(tests/model/backbones/test_pe_av.py notices when they are mended).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from openbind.configs import Range, Width
from openbind.model.backbones.reference import ReferenceTower

Numbers = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class PeAvConfig:
    """Which model embeds, and what of it.

    Args:
        name: of a repository of the Hugging Face Hub, or the path of a directory.
        revision: the repository's commit; of a directory "sha256:" and a digest of its files.
        embed_dim: of the vectors.
        head: of texts: the path of one of the network's three; "" of other inputs.
        hop: samples of a step of the audio encoder; 0 of other inputs.
        size: rows and columns of frames; 0 of other inputs.
        mean, std: per channel, of values in [0, 1], of whole frames.
    """

    name: str
    revision: str
    embed_dim: Width
    head: str = ""
    hop: Annotated[int, Range(0, 1_000_000)] = 0
    size: Annotated[int, Range(0, 4_096)] = 0
    mean: Numbers = (0.5, 0.5, 0.5)
    std: Numbers = (0.5, 0.5, 0.5)


class PeAvTower(ReferenceTower):
    """One input of a model; it has no weights of its own.

    Args:
        config: of the tower.
        model: that towers share; None is a tower that can't embed.
    """

    config_type = PeAvConfig
    config: PeAvConfig

    def forward(self, items: Tensor) -> Tensor:
        """Embed items of one shape.

        Args:
            items: bytes_BN uint8 of texts; samples (B, 1, 1, T); image_BCHW, normalized; or
                video_BCTHW uint8 of whole frames.

        Returns:
            embed_BE, not normalized.
        """
        network = self.opened()
        if self.config.head:
            return self._embed_texts(items)
        if self.config.hop:
            found_BE: Tensor = network.audio_model.get_audio_embeds(self._samples(items))
            return found_BE
        video = network.video_model
        frames_BTCHW = self._frames(items)
        vector_BE: Tensor = video.video_head(video.video_encoder(frames_BTCHW).pooler_output)
        return vector_BE

    def _embed_texts(self, bytes_BN: Tensor) -> Tensor:
        """Embed texts by the class token before the text model's last normalization."""
        network = self.opened()
        tensors = self.tokenize(bytes_BN)
        tokens_BND = network.text_model(**tensors).last_hidden_state
        found_BE: Tensor = network.get_submodule(self.config.head)(tokens_BND[:, 0])
        return found_BE

    def _samples(self, items: Tensor) -> Tensor:
        """Return samples (B, 1, T), reflected at the end to whole steps of the encoder."""
        samples_BT = items.flatten(1)
        rest = -samples_BT.shape[1] % self.config.hop
        padded = np.pad(samples_BT.float().cpu().numpy(), ((0, 0), (0, rest)), "reflect")
        whole_BT: Tensor = torch.from_numpy(padded).to(items)
        return whole_BT[:, None]

    def _frames(self, items: Tensor) -> Tensor:
        """Return normalized frames_BTCHW of the model's size; an image is one frame."""
        if items.ndim == 4:
            return items[:, None]
        weight, size = next(self.opened().parameters()), self.config.size
        whole_NCHW = items.transpose(1, 2).flatten(0, 1).float() / 255
        squares_NCHW = F.interpolate(whole_NCHW, (size, size), mode="bilinear", antialias=True)
        mean_C11 = torch.tensor(self.config.mean, device=items.device).view(-1, 1, 1)
        std_C11 = torch.tensor(self.config.std, device=items.device).view(-1, 1, 1)
        normalized_NCHW: Tensor = ((squares_NCHW - mean_C11) / std_C11).to(weight.dtype)
        frames_BTCHW: Tensor = normalized_NCHW.unflatten(0, (len(items), items.shape[2]))
        return frames_BTCHW


def embed_together(frames: PeAvTower, sounds: PeAvTower, video: Tensor, audio: Tensor) -> Tensor:
    """Embed clips of frames with the sound of the same time, by the network's joint encoder.

    Args:
        frames, sounds: towers of one model.
        video: video_BCTHW uint8 of whole frames.
        audio: samples (B, 1, 1, T).

    Returns:
        embed_BE, not normalized.
    """
    found = frames.opened().get_audio_video_embeds(
        input_values=sounds._samples(audio), pixel_values_videos=frames._frames(video)
    )
    joint_BE: Tensor = found.audio_video_embeds
    return joint_BE

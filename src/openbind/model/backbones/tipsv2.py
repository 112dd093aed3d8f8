"""TIPSv2 as towers: images, their patches and texts in one space (arXiv 2604.12012).

The network and its tokenizer are those of Transformers. Its own patch tokens are compared with text
by training, so cells need no change of the last block. Images have one vector of two: that
of the first class token, which learned from captions of the web.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from openbind.configs import Width
from openbind.model.backbones.reference import ReferenceTower


@dataclass(frozen=True, kw_only=True)
class Tipsv2Config:
    """Which model embeds, and what of it.

    Args:
        name: of a repository of the Hugging Face Hub, or the path of a directory.
        revision: the repository's commit; of a directory "sha256:" and a digest of its files.
        part: "text" or "image".
        embed_dim: of the vectors.
    """

    name: str
    revision: str
    part: str
    embed_dim: Width


class Tipsv2Tower(ReferenceTower):
    """One side of a model; it has no weights of its own.

    Args:
        config: of the tower.
        model: that towers share; None is a tower that can't embed.
    """

    config_type = Tipsv2Config
    config: Tipsv2Config

    def forward(self, items: Tensor) -> Tensor:
        """Embed texts or images.

        Args:
            items: bytes_BN uint8 of texts, or image_BCHW of values in [0, 1], of any size.

        Returns:
            embed_BE, not normalized.
        """
        network = self.opened()
        if items.ndim == 2:
            tensors = self.tokenize(items)
            pooled_BE: Tensor = network.get_text_features(**tensors).pooler_output
            return pooled_BE
        tokens_BND: Tensor = network.vision_model(items).last_hidden_state
        return tokens_BND[:, 0]

    def dense_size(self, size: int) -> int:
        """Return the size of images in which `cells` finds the most: the trained one."""
        return size

    def cells(self, x: Tensor, *, plain: bool = False) -> Tensor:
        """Embed the patches of images.

        Args:
            x: image_BCHW of values in [0, 1], of any size.
            plain: makes no difference: patches are in the space of texts by training.

        Returns:
            cells_BHWE, unit vectors.
        """
        vision = self.opened().vision_model
        patch = vision.config.patch_size
        rows, columns = x.shape[-2] // patch, x.shape[-1] // patch
        tokens_BND = vision(x).last_hidden_state[:, -rows * columns :]
        return F.normalize(tokens_BND.float(), dim=-1).view(len(x), rows, columns, -1)

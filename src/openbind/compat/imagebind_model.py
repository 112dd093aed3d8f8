"""The model of ImageBind's own interface, over the towers of a space."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from openbind.checkpoints.imagebind import load_imagebind
from openbind.modalities import MODALITIES
from openbind.space.inference import placed
from openbind.space.inputs import modality_of_tensor
from openbind.space.space import Space

ModalityType = SimpleNamespace(
    VISION="vision",
    TEXT="text",
    AUDIO="audio",
    THERMAL="thermal",
    DEPTH="depth",
    IMU="imu",
)


class ImageBindModel(nn.Module):
    """The reference's model over the towers of a space, which are shared.

    Args:
        space: any; its `dim` is that of the outputs.

    Attributes:
        space, towers: as given.
    """

    def __init__(self, space: Space) -> None:
        super().__init__()
        self._adopt(space)

    def _adopt(self, space: Space) -> None:
        self.space = space
        self.towers = nn.ModuleDict(space.towers)
        self.eval()

    def forward(self, inputs: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
        """Embed tensors by modality, with the reference's scales; gradients are kept if wanted.

        Args:
            inputs: a value of `ModalityType` → (batch, ...) or (batch, clips, ...), as the
                functions of `data` return; depth and thermal (batch, 1, 224, 224), IMU
                (batch, 6, 2000). None is skipped.

        Returns:
            embed_BE by the same keys: unit vectors times the modality's logit scale, averaged
            over clips and not renormalized.

        Raises:
            InputError, UnknownNameError: a tensor has other axes; the space has no such modality.
        """
        given = {key: value for key, value in inputs.items() if value is not None}
        return {key: self._embed(key, value) for key, value in given.items()}

    def _embed(self, key: str, value: Tensor) -> Tensor:
        modality = modality_of_tensor(self.space.config, key, value.ndim)
        binding = self.space.config.modalities[modality]
        tower = self.towers[binding.tower]
        has_clips = value.ndim == MODALITIES.get(modality).clip_dims + 2
        clips = placed(value.flatten(0, 1) if has_clips else value, tower)
        embed_BE: Tensor = F.normalize(tower(clips).float(), dim=-1) * binding.scale
        return embed_BE.view(value.shape[0], -1, embed_BE.shape[-1]).mean(dim=1)

    @property
    def modality_preprocessors(self) -> nn.ModuleDict:
        """What makes tokens of each modality, to freeze or to count."""
        return self._parts("stem")

    @property
    def modality_trunks(self) -> nn.ModuleDict:
        """The transformer of each modality, to freeze, to count, or to adapt."""
        return self._parts("trunk")

    @property
    def modality_heads(self) -> nn.ModuleDict:
        """The projection of each modality."""
        return self._parts("head")

    def _parts(self, name: str) -> nn.ModuleDict:
        parts = {key: getattr(tower, name, None) for key, tower in self.towers.items()}
        return nn.ModuleDict({key: part for key, part in parts.items() if part is not None})

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load weights: of this module, or in the official layout."""
        if not any(key.startswith("modality_") for key in state_dict):
            return super().load_state_dict(state_dict, strict, assign)
        configs = {name: spec.config for name, spec in self.space.config.towers.items()}
        heads = {name: config.trunk.heads for name, config in configs.items()}
        weight = next(self.parameters())
        self._adopt(load_imagebind(state_dict, heads, device=weight.device, dtype=weight.dtype))
        return super().load_state_dict(self.state_dict())

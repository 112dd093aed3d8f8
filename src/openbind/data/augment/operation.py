"""The interface of augmentations, and checks of their inputs."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from PIL import Image

from openbind.errors import ConfigError, describe

Stage = Literal["item", "tensor"]


class Operation(Protocol):
    """A frozen dataclass whose fields are its options in a recipe, called with the input.

    The result depends only on the input and the random numbers drawn from `rng`; the input isn't
    modified.

    Attributes:
        stage: "item" operates on the result of `apply_view`, e.g. a PIL image; "tensor" on one
            clip after preprocessing: (C, H, W), (1, F, T), (C, T).
    """

    stage: ClassVar[Stage]

    def __call__(self, x: Any, rng: np.random.Generator) -> Any:
        """Return a changed copy, or `x` itself if nothing changes."""


def check_image(x: Any, operation: Operation) -> Image.Image:
    """Return the input of an operation on images, checked.

    Raises:
        ConfigError: not an RGB image.
    """
    if isinstance(x, Image.Image) and x.mode == "RGB":
        return x
    found = f"an image of mode {x.mode}" if isinstance(x, Image.Image) else describe(x)
    raise ConfigError(
        f"{type(operation).__name__} needs RGB images, found {found}; remove it from this "
        "modality's augmentations"
    )


def check_axes(x: Any, axes: str, operation: Operation) -> torch.Tensor:
    """Return the input of an operation on clips, checked.

    Args:
        x: the clip.
        axes: its dimension letters, e.g. "CHW".
        operation: named in the error.

    Raises:
        ConfigError: not a tensor, or another number of axes.
    """
    if isinstance(x, torch.Tensor) and x.ndim == len(axes):
        return x
    raise ConfigError(
        f"{type(operation).__name__} needs clips ({', '.join(axes)}), found {describe(x)}; "
        "remove it from this modality's augmentations"
    )

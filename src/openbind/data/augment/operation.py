"""What an augmentation is, and the checks that say when it doesn't fit what it is given."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from PIL import Image

from openbind.errors import ConfigError, describe

Stage = Literal["item", "tensor"]


class Operation(Protocol):
    """A frozen dataclass whose fields a recipe may set, called with what it is to change.

    The result depends on nothing but the input and the random numbers drawn from `rng`; the input
    isn't changed.

    Attributes:
        stage: "item" works on the result of `apply_view` (a PIL image, say), "tensor" on one clip
            after preprocessing: (C, H, W), (1, F, T), (C, T).
    """

    stage: ClassVar[Stage]

    def __call__(self, x: Any, rng: np.random.Generator) -> Any:
        """Return a changed copy, or `x` itself where nothing is to change."""


def check_image(x: Any, operation: Operation) -> Image.Image:
    """Make sure that an operation on images got one.

    Raises:
        ConfigError: it is no RGB image.
    """
    if isinstance(x, Image.Image) and x.mode == "RGB":
        return x
    found = f"a image of mode {x.mode}" if isinstance(x, Image.Image) else describe(x)
    raise ConfigError(
        f"{type(operation).__name__} works on RGB images, found {found}; take it out of this "
        "modality's augmentations"
    )


def check_axes(x: Any, axes: str, operation: Operation) -> torch.Tensor:
    """Make sure that an operation on clips got one of the right number of axes.

    Args:
        x: the clip.
        axes: its dimension letters, "CHW".
        operation: it is named in the error.

    Raises:
        ConfigError: it is no tensor, or has other axes.
    """
    if isinstance(x, torch.Tensor) and x.ndim == len(axes):
        return x
    raise ConfigError(
        f"{type(operation).__name__} works on clips ({', '.join(axes)}), found {describe(x)}; "
        "take it out of this modality's augmentations"
    )

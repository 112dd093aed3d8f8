"""The generator in a space's folder, opened when it is first asked for something."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from openbind.generation.small import SmallDecoder


class StoredGenerator:
    """A `Decoder` in a file: loading a space costs nothing that only drawing needs.

    Args:
        path: of the file.
        image_side: identity of the space's image side.
    """

    def __init__(self, path: Path, image_side: Callable[[], str]) -> None:
        self.path = path
        self._image_side = image_side

    @cached_property
    def decoder(self) -> SmallDecoder:
        """The decoder in the file.

        Raises:
            CheckpointError: the file is damaged.
        """
        from openbind.generation.small import SmallDecoder

        return SmallDecoder(self.path, self._image_side)

    @property
    def dim(self) -> int:
        """Dimensions of the vectors that it takes."""
        return self.decoder.dim

    @property
    def accepts(self) -> str:
        """Identity of the image side that it learned from."""
        return self.decoder.accepts

    @property
    def candidates(self) -> int:
        """Of each image, if nothing else is asked for."""
        return self.decoder.candidates

    def draw(self, vectors_BE: np.ndarray, **options: Any) -> list[list[Image.Image]]:
        """Draw images; see `openbind.generation.decoder.Decoder`."""
        return self.decoder.draw(vectors_BE, **options)

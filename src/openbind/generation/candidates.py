"""Which of several drawn images is kept: the one that a space sees as nearest to the vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

Look = Callable[[list["Image.Image"]], np.ndarray]
"""Images → unit vectors (count, dim) of the space that is drawn for."""


def keep_nearest(
    drawn: Sequence[Image.Image], vector_E: np.ndarray, candidates: int, look: Look
) -> list[Image.Image]:
    """Return the image of the highest cosine of each group.

    Groups are looked at one by one: in a batch of another size the last digits differ, so that
    what is kept of one could depend on how many others there are.

    Args:
        drawn: from the vector, the candidates of each image one after the other.
        vector_E: unit vector.
        candidates: of each image.
        look: embeds images.
    """
    groups = [list(drawn[at : at + candidates]) for at in range(0, len(drawn), candidates)]
    return [group[int((look(group) @ vector_E).argmax())] for group in groups]

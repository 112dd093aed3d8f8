"""A picture becomes the pixels that its settings say."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from openbind.modalities.image import MODALITY, ImageSettings, fit_picture

# A picture of three bands: what fits shows which part is taken.
BANDS = Image.fromarray(
    np.repeat(np.uint8([[[255, 0, 0]] * 40 + [[0, 255, 0]] * 40 + [[0, 0, 255]] * 40]), 40, 0)
)


def test_crop_takes_the_middle() -> None:
    """Only the middle third of a picture three times as wide as high."""
    assert fit_picture(BANDS, ImageSettings(size=20, fit="crop")).getpixel((10, 10)) == (0, 255, 0)
    assert fit_picture(BANDS, ImageSettings(size=20, fit="crop")).getpixel((3, 10))[1] > 200


def test_pad_shows_the_whole() -> None:
    """All bands in the middle, white above and below."""
    padded = fit_picture(BANDS, ImageSettings(size=60, fit="pad"))
    assert padded.getpixel((30, 5)) == (255, 255, 255)
    assert padded.getpixel((10, 30)) == (255, 0, 0)
    assert padded.getpixel((50, 30)) == (0, 0, 255)


def test_squash_uses_the_whole_square() -> None:
    """All bands, from top to bottom."""
    squashed = fit_picture(BANDS, ImageSettings(size=60, fit="squash"))
    assert squashed.getpixel((10, 0)) == (255, 0, 0)
    assert squashed.getpixel((50, 59)) == (0, 0, 255)


def test_reference_preprocessing() -> None:
    """With the defaults: 224 × 224, CLIP's mean and deviation."""
    clips = MODALITY.prepare(ImageSettings(), None)(Image.new("RGB", (500, 300), "white")).clips
    assert clips.shape == (1, 3, 224, 224)
    expected = (1 - torch.tensor([0.48145466, 0.4578275, 0.40821073])) / torch.tensor(
        [0.26862954, 0.26130258, 0.27577711]
    )
    torch.testing.assert_close(clips[0, :, 100, 100], expected)

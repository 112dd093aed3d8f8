"""Views of images: on white, on a random background, and upsampled from 32 pixels."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from openbind.modalities.image import ImageSettings, fit_image
from openbind.model.backbones.efficientnet_lite import EfficientNetLite
from openbind.signal.resize import normalize

Pixels = NDArray[np.float64]

# 260 pixels and (x - 127) / 128, as EfficientNet-Lite2 was trained (the official code's
# efficientnet_lite_builder.py). Upsampling helps even for images of 32 pixels.
SETTINGS = ImageSettings(size=260, fit="crop", mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
NUM_VIEWS = 3
TINY_PIXELS = 32
# A few drawings of several hundred megapixels would dominate the run time.
MAX_PIXELS = 30_000_000


def view_features(
    tower: EfficientNetLite, paths: Sequence[Path], batch_size: int = 16
) -> torch.Tensor:
    """Compute the features of each image's views, (images, views, width).

    Randomness depends only on the image's file name.
    """
    grounds = make_grounds(SETTINGS.size)
    found = []
    with ThreadPoolExecutor(2) as pool, torch.no_grad():
        for start in tqdm(range(0, len(paths), batch_size), desc="images", disable=None):
            views = pool.map(lambda p: make_views(p, grounds), paths[start : start + batch_size])
            flat = [view for image in views for view in image]
            arrays = [normalize(view, SETTINGS.mean, SETTINGS.std) for view in flat]
            images_BCHW = torch.from_numpy(np.stack(arrays))
            features_BD = tower.features(images_BCHW)
            found.append(features_BD.view(-1, NUM_VIEWS, features_BD.shape[1]))
    return torch.cat(found)


def is_small_enough(path: Path) -> bool:
    """Return whether an image has at most `MAX_PIXELS` by its header."""
    with Image.open(path) as image:
        return image.width * image.height <= MAX_PIXELS


def make_views(path: Path, grounds: list[Image.Image]) -> list[Image.Image]:
    """Return an image's square views: on white, on a background, on a background and tiny."""
    chance = np.random.default_rng(zlib.crc32(path.name.encode()))
    with Image.open(path) as opened:
        image = opened.convert("RGBA")
    image.thumbnail((330, 330), Image.Resampling.BICUBIC)
    size = SETTINGS.size
    clean = Image.new("RGBA", image.size, "white")
    clean.alpha_composite(image)
    tiny = compose(image, grounds, chance).resize((TINY_PIXELS,) * 2, Image.Resampling.BOX)
    return [
        fit_image(clean.convert("RGB"), ImageSettings(size=size, fit="pad")),
        compose(image, grounds, chance),
        tiny.resize((size, size), Image.Resampling.BICUBIC),
    ]


def compose(
    image: Image.Image, grounds: list[Image.Image], chance: np.random.Generator
) -> Image.Image:
    """Flip, stretch, rotate and shift an image at random over a background, often plain."""
    if chance.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    size = SETTINGS.size
    image = image.crop(image.getbbox() or (0, 0, *image.size))
    scale = size * chance.uniform(0.65, 1.15) / max(image.size)
    stretch = np.exp(chance.uniform(-0.12, 0.12))
    sides = (int(image.width * scale * stretch), int(image.height * scale / stretch))
    image = image.resize((max(1, sides[0]), max(1, sides[1])), Image.Resampling.BICUBIC)
    if chance.random() < 0.5:
        turn = chance.uniform(-12, 12)
        image = image.rotate(turn, Image.Resampling.BICUBIC, expand=True)
    ground = Image.new("RGB", (size, size), "white")
    if chance.random() < 0.8:
        ground = grounds[chance.integers(len(grounds))].copy()
    left = (size - image.width) // 2 + int(chance.integers(-20, 21))
    top = (size - image.height) // 2 + int(chance.integers(-20, 21))
    ground.paste(image, (left, top), image)
    return ground


def make_grounds(size: int, count: int = 300, seed: int = 7) -> list[Image.Image]:
    """Make backgrounds: plain colors, gradients, and 1/f noise as in natural images."""
    chance = np.random.default_rng(seed)
    makers = (make_plain, make_slope, make_clouds, make_clouds)
    grounds = []
    for _ in range(count):
        pixels = makers[chance.integers(len(makers))](chance, 128)
        ground = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        grounds.append(ground.resize((size, size), Image.Resampling.BILINEAR))
    return grounds


def make_plain(chance: np.random.Generator, size: int) -> Pixels:
    """Return a single color."""
    return np.broadcast_to(chance.uniform(0, 255, 3), (size, size, 3))


def make_slope(chance: np.random.Generator, size: int) -> Pixels:
    """Return a gradient between two colors in a random direction."""
    first, second = chance.uniform(0, 255, 3), chance.uniform(0, 255, 3)
    turn = chance.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0:size, 0:size] / size - 0.5
    share = np.clip(0.5 + columns * np.cos(turn) + rows * np.sin(turn), 0, 1)[..., None]
    blend: Pixels = first * (1 - share) + second * share
    return blend


def make_clouds(chance: np.random.Generator, size: int) -> Pixels:
    """Return 1/f noise with correlated channels."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    frequency[0, 0] = 1
    fall = frequency ** chance.uniform(0.8, 1.8)
    channels = [np.fft.ifft2(np.fft.fft2(chance.normal(size=(size, size))) / fall) for _ in "rgb"]
    noise = np.stack([np.real(channel) for channel in channels], axis=-1)
    noise /= noise.std((0, 1))
    mix = chance.normal(size=(3, 3)) * 0.4 + 0.6
    level, depth = chance.uniform(30, 225, 3), chance.uniform(10, 60)
    clouds: Pixels = level + depth * (noise @ mix.T) / 1.5
    return clouds

"""Generated images as files: one image, or several side by side; written whole or not at all."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from openbind.atomic import atomic_path
from openbind.errors import InputError, printable

GAP = 2
"""Pixels between the images of a grid."""


def arrange(images: Sequence[Image.Image]) -> Image.Image:
    """Arrange images of one size in a grid that is about square, row by row; one is unchanged."""
    if len(images) == 1:
        return images[0]
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    width, height = (side + GAP for side in images[0].size)
    grid = Image.new("RGB", (columns * width - GAP, rows * height - GAP), "white")
    for at, image in enumerate(images):
        grid.paste(image, (at % columns * width, at // columns * height))
    return grid


def image_format(path: Path) -> str:
    """Return Pillow's name of the format that a path's extension stands for.

    Raises:
        InputError: Pillow can't write such files, or the path is a folder.
    """
    found = Image.registered_extensions().get(path.suffix.lower())
    if found is None or found not in Image.SAVE:
        raise InputError(path, "expected an extension of images, such as .png, .jpg or .webp")
    if path.is_dir():
        raise InputError(path, "a folder; expected a file to write")
    return found


def write_image(image: Image.Image, path: Path, about: str) -> None:
    """Write an image; an existing file is replaced as a whole.

    Args:
        image: RGB.
        path: folders are created; the extension decides the format, as `image_format`.
        about: how it was drawn, stored in PNG files.

    Raises:
        InputError: it can't be written, for instance because the disk is full.
    """
    from PIL.PngImagePlugin import PngInfo

    options = {}
    kind = image_format(path)
    if kind == "PNG":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_text("Description", printable(about))
    content = io.BytesIO()
    image.save(content, kind, **options)
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(content.getvalue())
    except OSError as error:
        reason = f"couldn't be written ({error.strerror or error}); nothing was changed"
        raise InputError(path, reason) from error

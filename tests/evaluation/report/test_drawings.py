"""Every modality but text has a thumbnail; small recordings are played."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openbind.errors import InputError
from openbind.evaluation.report.drawings import MOST_PLAYED_BYTES, draw_item, playable_url
from openbind.media.drawing import DEPTH_COLORS, MISSING


def decode(url: str | None) -> bytes:
    assert url is not None
    return base64.b64decode(url.split(",")[1])


@pytest.mark.parametrize(
    ("modality", "size"),
    [
        ("image", (100, 50)),
        ("thermal", (80, 60)),
        ("video", (64, 48)),
        ("audio", (100, 38)),
        ("imu", (100, 38)),
    ],
)
def test_images_are_small(media: dict[str, Path], modality: str, size: tuple[int, int]) -> None:
    """At most the given side, in their own shape, and never enlarged."""
    url = draw_item(media[modality], modality, 100)
    with Image.open(io.BytesIO(decode(url))) as image:
        assert (image.format, image.size) == ("JPEG", size)
    assert len(url or "") < 8000


def test_a_image_shows_its_colors(media: dict[str, Path]) -> None:
    """Red stays red; a video is shown by its middle frame."""
    with Image.open(io.BytesIO(decode(draw_item(media["image"], "image", 50)))) as red:
        assert red.convert("RGB").getpixel((9, 9)) == pytest.approx((255, 0, 0), abs=6)
    with Image.open(io.BytesIO(decode(draw_item(media["video"], "video", 50)))) as middle:
        assert middle.convert("RGB").getpixel((9, 9)) == pytest.approx((100, 100, 100), abs=8)


def test_near_is_light(tmp_path: Path) -> None:
    """Of depth in 16 bits: near is the lightest color, far the darkest, missing gray."""
    millimetres_HW = np.repeat(np.array([[800, 4000, 0]], np.uint16), 32, axis=1).repeat(48, axis=0)
    Image.fromarray(millimetres_HW).save(tmp_path / "depth.png")
    url = draw_item(tmp_path / "depth.png", "depth", 96)
    with Image.open(io.BytesIO(decode(url))) as drawn:
        row = [drawn.convert("RGB").getpixel((16 + 32 * third, 24)) for third in range(3)]
    colors = (DEPTH_COLORS[-1], DEPTH_COLORS[0], [MISSING] * 3)
    for found, expected in zip(row, colors, strict=True):
        assert found == pytest.approx(tuple(expected), abs=12)


def test_texts_have_no_thumbnail() -> None:
    """Texts are quoted."""
    assert draw_item(None, "text", 100) is None


def test_wrong_files_are_named(media: dict[str, Path], tmp_path: Path) -> None:
    """A file that isn't of its kind is an error, not an empty image."""
    with pytest.raises(InputError, match=r"noise\.wav"):
        draw_item(media["audio"], "image", 100)
    with pytest.raises(InputError, match="no such file"):
        draw_item(tmp_path / "none.wav", "audio", 100)


def test_what_is_played(media: dict[str, Path], tmp_path: Path) -> None:
    """Small sounds and videos as they are; not images, large files, or unknown formats."""
    sound = media["audio"]
    assert decode(playable_url(sound)) == sound.read_bytes()
    assert (playable_url(media["video"]) or "").startswith("data:video/mp4;")
    assert playable_url(media["image"]) is None
    assert playable_url(None) is None
    odd = tmp_path / "sound.aiff"
    odd.write_bytes(sound.read_bytes())
    assert playable_url(odd) is None
    large = tmp_path / "large.wav"
    large.write_bytes(b"0" * (MOST_PLAYED_BYTES + 1))
    assert playable_url(large) is None

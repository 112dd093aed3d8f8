"""An image becomes the pixels of its settings; a view is a part of it, or a video's frame."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

import openbind
from openbind.errors import InputError
from openbind.media.image import read_image
from openbind.modalities.image import MODALITY, ImageSettings, apply_view, fit_image
from openbind.modalities.spec import Extent, View

# A image of three bands: what fits shows which part is taken.
BANDS = Image.fromarray(
    np.repeat(np.uint8([[[255, 0, 0]] * 40 + [[0, 255, 0]] * 40 + [[0, 0, 255]] * 40]), 40, 0)
)


def test_crop_takes_the_middle() -> None:
    """Only the middle third of an image three times as high as wide is used."""
    assert fit_image(BANDS, ImageSettings(size=20, fit="crop")).getpixel((10, 10)) == (0, 255, 0)
    assert fit_image(BANDS, ImageSettings(size=20, fit="crop")).getpixel((3, 10))[1] > 200


def test_pad_shows_the_whole() -> None:
    """All bands are in the middle, on white."""
    padded = fit_image(BANDS, ImageSettings(size=60, fit="pad"))
    assert padded.getpixel((30, 5)) == (255, 255, 255)
    assert padded.getpixel((10, 30)) == (255, 0, 0)
    assert padded.getpixel((50, 30)) == (0, 0, 255)


def test_squash_uses_the_whole_square() -> None:
    """All bands are used, from top to bottom."""
    squashed = fit_image(BANDS, ImageSettings(size=60, fit="squash"))
    assert squashed.getpixel((10, 0)) == (255, 0, 0)
    assert squashed.getpixel((50, 59)) == (0, 0, 255)


def test_reference_preprocessing() -> None:
    """With the defaults: 224 × 224, CLIP's mean and std."""
    clips = MODALITY.prepare(ImageSettings(), None)(Image.new("RGB", (500, 300), "white")).clips
    assert clips.shape == (1, 3, 224, 224)
    expected = (1 - torch.tensor([0.48145466, 0.4578275, 0.40821073])) / torch.tensor(
        [0.26862954, 0.26130258, 0.27577711]
    )
    torch.testing.assert_close(clips[0, :, 100, 100], expected)


def test_the_whole_view_of_an_image() -> None:
    """The whole view has the same numbers, upright; the item isn't modified."""
    prepare = MODALITY.prepare(ImageSettings(), None)
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    BANDS.save(turned, "png", exif=exif)
    assert apply_view(turned.getvalue(), View()).size == BANDS.size[::-1]
    for item in (BANDS, np.asarray(BANDS), turned.getvalue()):
        assert torch.equal(prepare(apply_view(item, View())).clips, prepare(item).clips)
    before = BANDS.tobytes()
    apply_view(BANDS, View(box=(0.0, 0.0, 0.5, 0.5), flip=True)).paste("white", (0, 0, 5, 5))
    assert BANDS.tobytes() == before


def test_a_part_of_an_image() -> None:
    """The view has the last two bands, mirrored: blue, then green."""
    shown = apply_view(BANDS, View(box=(0.0, 1 / 3, 1.0, 2 / 3), flip=True))
    assert (shown.size, shown.mode) == ((80, 40), "RGB")
    assert shown.getpixel((0, 0)) == (0, 0, 255)
    assert shown.getpixel((79, 39)) == (0, 255, 0)


@pytest.mark.parametrize(
    ("view", "frame"),
    [
        (View(), 20),
        (View(span=(2.0, 3.0)), 25),
        (View(span=(2.0, 4.0), seconds=0.6, moment=0.0), 23),
        (View(seconds=0.1, moment=1.0), 39),
    ],
)
def test_a_video_is_the_frame_in_the_middle_of_its_excerpt(
    video: Path, view: View, frame: int
) -> None:
    """Videos are recognized by extension or signature; their frame is cropped and mirrored."""
    for item in (video, str(video), video.read_bytes()):
        shown = apply_view(item, replace(view, box=(0.0, 0.25, 1.0, 0.5), flip=True))
        assert shown.size == (48, 48)
        assert shown.getpixel((0, 10)) == (255,) * 3
        assert shown.getpixel((47, 10)) == (6 * frame,) * 3


def test_a_span_outside_is_refused(video: Path) -> None:
    """A span outside the video, and a broken video, are refused."""
    with pytest.raises(InputError, match=r"video\.mkv: lasts 4\.00 s"):
        apply_view(video, View(span=(4.0, 6.0)))
    with pytest.raises(InputError, match="not audio or video"):
        apply_view(b"\x1a\x45\xdf\xa3 and no more", View())


def test_frames_of_a_video_are_read_from_one_open_file(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Views of a video open it once, and equal views applied one by one."""
    views = [View(span=(start, start + 0.5)) for start in (0.0, 1.0, 2.5, 1.5)]
    expected = [apply_view(video, view).tobytes() for view in views]
    opened = 0
    open_file = av.open

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal opened
        opened += 1
        return open_file(*arguments, **options)

    monkeypatch.setattr(av, "open", counted)
    frames = [frame.tobytes() for frame in MODALITY.read_views(video, views)]
    assert frames == expected
    assert opened == 1


def test_an_image_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several boxes are cut from one decoded image."""
    decoded = 0

    def counted(item: Any) -> Image.Image:
        nonlocal decoded
        decoded += 1
        return read_image(item)

    monkeypatch.setattr("openbind.modalities.image.read_image", counted)
    views = [View(box=(0.0, left, 1.0, 0.5)) for left in (0.0, 0.25, 0.5)]
    assert len(list(MODALITY.read_views(BANDS, views))) == 3
    assert decoded == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_large_images_keep_their_vectors(
    kind: str,
    starter: openbind.Space,
    samples: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A reduced image has the vector of the whole: of the samples, enlarged to odd sizes."""
    files = []
    for sample in sorted(samples.rglob("*.webp"))[:8]:
        image = Image.open(sample).convert("RGB")
        scale = 2_099 / min(image.size)
        large = image.resize((round(image.width * scale), round(image.height * scale)))
        files.append(tmp_path / f"{sample.stem}.{kind.lower()}")
        large.save(files[-1], kind)
    # What is decoded already is never reduced.
    whole = starter.encode("image", [Image.open(file) for file in files])
    if kind == "PNG":
        monkeypatch.setattr("openbind.media.image.LARGE_PIXELS", 1_000)
    cosines = (whole * starter.encode("image", files)).sum(1)
    assert cosines.min() >= 0.999
    assert (cosines < 1).any()


def test_whole_pixels() -> None:
    """Without a fit the tower gets the image's own pixels, and sees all of it."""
    sample = MODALITY.prepare(ImageSettings(fit="none"), None)(BANDS)
    assert sample.clips.dtype == torch.uint8
    assert (sample.clips[0].permute(1, 2, 0).numpy() == np.asarray(BANDS)).all()
    assert sample.extent == Extent(BANDS.size)

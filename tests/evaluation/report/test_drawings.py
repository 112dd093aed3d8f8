"""Every look has a small picture that shows what is in the file; words have none."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from openbind.errors import InputError
from openbind.evaluation.collection import Look
from openbind.evaluation.report.drawings import (
    FALSE_COLOURS,
    MOST_PLAYED_BYTES,
    colour_map,
    draw_item,
    draw_lines,
    draw_sound,
    playable_url,
)


def decode(url: str | None) -> bytes:
    assert url is not None
    return base64.b64decode(url.split(",")[1])


@pytest.mark.parametrize(
    ("look", "size"), [("picture", (100, 50)), ("map", (80, 60)), ("film", (64, 48))]
)
def test_pictures_are_small(media: dict[str, Path], look: Look, size: tuple[int, int]) -> None:
    """At most the side asked for, in their own shape, and never enlarged."""
    url = draw_item(str(media[look]), look, 100)
    with Image.open(io.BytesIO(decode(url))) as picture:
        assert (picture.format, picture.size) == ("WEBP", size)
    assert len(url or "") < 6000


def test_a_picture_shows_its_colours(media: dict[str, Path]) -> None:
    """Red stays red; a film is shown by its middle frame."""
    with Image.open(io.BytesIO(decode(draw_item(str(media["picture"]), "picture", 50)))) as red:
        assert red.convert("RGB").getpixel((9, 9)) == pytest.approx((255, 0, 0), abs=6)
    with Image.open(io.BytesIO(decode(draw_item(str(media["film"]), "film", 50)))) as middle:
        assert middle.convert("RGB").getpixel((9, 9)) == pytest.approx((100, 100, 100), abs=8)


def test_words_have_no_picture() -> None:
    """They are shown as they are."""
    assert draw_item("", "words", 100) is None


def test_maps_in_false_colours() -> None:
    """The lowest is dark, the highest bright, missing ones grey; one value alone is dark."""
    map_HW = np.linspace(0, 1, 10_000).reshape(100, 100)
    map_HW[50, 50] = np.nan
    colours_HWC = np.asarray(colour_map(map_HW))
    assert colours_HWC[0, 0].tolist() == FALSE_COLOURS[0].tolist()
    assert colours_HWC[-1, -1].tolist() == FALSE_COLOURS[-1].tolist()
    assert colours_HWC[50, 50].tolist() == [128, 128, 128]
    assert np.asarray(colour_map(np.full((4, 4), 7))).max() == FALSE_COLOURS[0].max()
    assert (np.asarray(colour_map(np.full((4, 4), np.nan))) == 128).all()


def test_one_hot_pixel_darkens_nothing() -> None:
    """A single value far out doesn't squeeze the others into one colour."""
    map_HW = np.linspace(0, 1, 10_000).reshape(100, 100)
    usual_HWC = np.asarray(colour_map(map_HW), int)
    map_HW[0, 0] = 1e6
    assert np.abs(np.asarray(colour_map(map_HW), int)[1:] - usual_HWC[1:]).max() <= 2


def test_false_colours_brighten_evenly() -> None:
    """Luminance rises from step to step (BT.601)."""
    luminance = FALSE_COLOURS @ [0.299, 0.587, 0.114]
    assert (np.diff(luminance) > 10).all()


def test_a_sound_is_as_high_as_it_is_loud(tmp_path: Path) -> None:
    """Silence first, then a tone: low bars, then high ones; a silent file is a flat line."""
    path = tmp_path / "half.wav"
    soundfile.write(path, np.r_[np.zeros(4000), 0.5 * np.sin(np.arange(4000))], 8000)
    heights = [float(h) for h in re.findall(r"v([\d.]+)", draw_sound(str(path)))]
    assert len(heights) == 64
    assert max(heights[:32]) == 2
    assert min(heights[32:]) > 90
    soundfile.write(path, np.zeros(100), 8000)
    assert set(re.findall(r"v([\d.]+)", draw_sound(str(path)))) == {"2.0"}


def test_lines_follow_the_axes(tmp_path: Path) -> None:
    """A curve an axis; times aren't drawn, gaps are left out, what rises goes up."""
    path = tmp_path / "two.csv"
    path.write_text("seconds,a,b\n0,0,3\n1,,3\n2,1,3\n")
    curves = re.findall(r'd="([^"]+)"', draw_lines(str(path)))
    assert curves == ["M0.0 56.0L320.0 4.0", "M0.0 64.0L160.0 64.0L320.0 64.0"]


def test_long_recordings_are_thinned(tmp_path: Path) -> None:
    """A curve has at most a point for each pixel."""
    path = tmp_path / "long.npy"
    np.save(path, np.random.default_rng(0).normal(size=(5000, 6)))
    drawing = draw_lines(str(path))
    assert drawing.count("<path") == 6
    assert drawing.count("L") == 6 * 319


@pytest.mark.parametrize("look", ["sound", "lines"])
def test_curves_are_svg(media: dict[str, Path], look: Look) -> None:
    """A browser gets an SVG without anything of the file's text in it."""
    drawing = decode(draw_item(str(media[look]), look, 160)).decode()
    assert drawing.startswith("<svg ")
    assert 'width="160"' in drawing


def test_wrong_files_are_named(media: dict[str, Path], tmp_path: Path) -> None:
    """A file that isn't of its kind is an error, not an empty picture."""
    with pytest.raises(InputError, match=r"noise\.wav"):
        draw_item(str(media["sound"]), "picture", 100)
    with pytest.raises(InputError, match="no such file"):
        draw_item(str(tmp_path / "none.wav"), "sound", 100)


def test_what_is_played(media: dict[str, Path], tmp_path: Path) -> None:
    """Small sounds and films as they are; not pictures, large files, or unknown formats."""
    sound = media["sound"]
    assert decode(playable_url(str(sound), "sound")) == sound.read_bytes()
    assert (playable_url(str(media["film"]), "film") or "").startswith("data:video/mp4;")
    assert playable_url(str(media["picture"]), "picture") is None
    assert playable_url("", "words") is None
    odd = tmp_path / "sound.aiff"
    odd.write_bytes(sound.read_bytes())
    assert playable_url(str(odd), "sound") is None
    large = tmp_path / "large.wav"
    large.write_bytes(b"0" * (MOST_PLAYED_BYTES + 1))
    assert playable_url(str(large), "sound") is None

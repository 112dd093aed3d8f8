"""Every modality fulfills the contract, and violations are found."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import openbind
from openbind.evaluation.samples import SampleItem
from openbind.media.image import read_image
from openbind.testing import check_modality


def paths(sample_items: list[SampleItem], samples: Path, modality: str) -> list[Path]:
    return [samples / item.path for item in sample_items if item.modality == modality][10:12]


def test_image(starter: openbind.Space, sample_items: list[SampleItem], samples: Path) -> None:
    """Path, bytes, PIL image, array."""
    forms = [
        [path, str(path), path.read_bytes(), read_image(path), np.asarray(read_image(path))]
        for path in paths(sample_items, samples, "image")
    ]
    bad = [b"", b"no image", "missing.jpg", samples, np.zeros((3, 3, 9), np.uint8), 7]
    check_modality(starter, "image", forms, bad)


def test_audio(starter: openbind.Space, sample_items: list[SampleItem], samples: Path) -> None:
    """Path, bytes, (samples, rate), a dictionary."""
    forms = []
    for path in paths(sample_items, samples, "audio"):
        values, rate = soundfile.read(path, dtype="float32")
        forms.append(
            [path, path.read_bytes(), (values, rate), {"array": values, "sampling_rate": rate}]
        )
    bad = [
        b"",
        b"no sound",
        "missing.wav",
        samples,
        (np.zeros(0), 16_000),
        (np.array([np.nan]), 16_000),
        (np.zeros(9), -1),
        7,
    ]
    check_modality(starter, "audio", forms, bad)


def test_text(starter: openbind.Space) -> None:
    """A str has one form."""
    check_modality(starter, "text", [["a dog"], ["rain on the roof of a tent"]], ["", 7, b"dog"])


@pytest.fixture(scope="module")
def tiny() -> openbind.Space:
    """All modalities of ImageBind, small, with random weights."""
    return openbind.load("tiny", weights="random", device="cpu", dtype="float32")


def saved_png(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def saved_npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def test_thermal(tiny: openbind.Space, tmp_path: Path) -> None:
    """8-bit images and raw counts, as file, bytes, image and array."""
    forms = []
    for seed, kind in ((0, np.uint8), (1, np.uint16)):
        values = np.random.default_rng(seed).integers(0, np.iinfo(kind).max, (60, 80), dtype=kind)
        path = tmp_path / f"{seed}.png"
        path.write_bytes(saved_png(values))
        forms.append([path, path.read_bytes(), values, saved_npy(values)])
    check_modality(tiny, "thermal", forms, [b"", b"no image", "missing.png", tmp_path, 7])


def test_depth(tiny: openbind.Space, tmp_path: Path) -> None:
    """Metres as array, .npy file, bytes, tensor, and with a camera."""
    forms = []
    for seed in range(2):
        metres = np.random.default_rng(seed).uniform(0.5, 8, (60, 80)).astype(np.float32)
        path = tmp_path / f"{seed}.npy"
        path.write_bytes(saved_npy(metres))
        forms.append(
            [
                metres,
                path,
                path.read_bytes(),
                torch.from_numpy(metres.copy()),
                {"depth": metres, "camera": "kv1"},
            ]
        )
    bad = [b"", "missing.npy", tmp_path, -np.ones((4, 4)), np.full((4, 4), 5e6), {"depht": 1}, 7]
    check_modality(tiny, "depth", forms, bad)


def test_imu(tiny: openbind.Space, tmp_path: Path) -> None:
    """(values, rate), a dictionary, and files with a rate."""
    forms = []
    for seed in range(2):
        values = np.random.default_rng(seed).normal(size=(700, 6)).astype(np.float32)
        path = tmp_path / f"{seed}.npy"
        path.write_bytes(saved_npy(values))
        forms.append(
            [
                (values, 100),
                (path, 100),
                (path.read_bytes(), 100),
                {"array": values, "sampling_rate": 100},
            ]
        )
    bad = [b"", "missing.csv", (np.ones((5, 3)), 100), np.ones((5, 6)), (np.ones((5, 6)), 0), 7]
    check_modality(tiny, "imu", forms, bad)


def test_video(tiny: openbind.Space, tmp_path: Path) -> None:
    """A file, its bytes, and its frames with their rate."""
    import av

    forms = []
    for seed in range(2):
        path = tmp_path / f"{seed}.mkv"
        frames = np.random.default_rng(seed).integers(0, 255, (12, 32, 48, 3), dtype=np.uint8)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=4)
            stream.width, stream.height, stream.pix_fmt = 48, 32, "bgr0"
            images = [av.VideoFrame.from_ndarray(frame, format="rgb24") for frame in frames]
            for image in [*images, None]:
                container.mux(stream.encode(image))
        forms.append([path, path.read_bytes(), (frames, 4)])
    fast = tiny.with_settings("video", crops=1, clips=2)
    check_modality(fast, "video", forms, [b"", b"no video", "missing.mp4", tmp_path, (1, 2), 7])


def test_a_broken_contract_is_found(starter: openbind.Space) -> None:
    """Forms of different items, and usable items given as bad ones, violate it."""
    dots = [Image.new("RGB", (9, 9), color) for color in ("red", "blue")]
    with pytest.raises(AssertionError, match="forms of one item differ"):
        check_modality(starter, "image", [dots, dots[:1]], [])
    with pytest.raises(AssertionError, match="was embedded"):
        check_modality(starter, "image", [dots[:1], dots[1:]], [dots[0]])

"""The contract holds for every modality of the starter, and finds what breaks it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import openbind
from openbind.demo.samples import SampleItem
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
    bad = [b"", b"no picture", "missing.jpg", samples, np.zeros((3, 3, 9), np.uint8), 7]
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
    """A str is a str."""
    check_modality(starter, "text", [["a dog"], ["rain on the roof of a tent"]], ["", 7, b"dog"])


def test_a_broken_contract_is_found(starter: openbind.Space) -> None:
    """Forms that aren't one item, and bad items that are good."""
    dots = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    with pytest.raises(AssertionError, match="forms of one item differ"):
        check_modality(starter, "image", [dots, dots[:1]], [])
    with pytest.raises(AssertionError, match="was embedded"):
        check_modality(starter, "image", [dots[:1], dots[1:]], [dots[0]])

"""Which decoder fits which space."""

from __future__ import annotations

import pytest

from openbind.errors import UnknownNameError
from openbind.generation.large import DECODERS, LAION_H, OPENAI_L, Family, image_families
from openbind.presets import PRESETS


def test_decoders() -> None:
    """All are of a known family, and state license, terms and size."""
    for name in ("unclip-h", "unclip-small", "ip-adapter-sd15", "ip-adapter-sdxl"):
        entry = DECODERS.get(name)
        assert entry.family is (OPENAI_L if name == "unclip-small" else LAION_H)
        assert "RAIL" in entry.license
        assert entry.consent
        assert entry.gigabytes > 1
        assert (entry.adapter is None) == name.startswith("unclip")
    with pytest.raises(UnknownNameError):
        DECODERS.get("unclip")


def test_families() -> None:
    """By architecture: ImageBind's images are CLIP ViT-H's, the small presets' are nobody's."""
    huge = PRESETS["imagebind_huge"]().towers["vision"].config
    assert image_families(huge) == (LAION_H.name,)
    for name in ("base", "tiny"):
        assert image_families(PRESETS[name]().towers["vision"].config) == ()
    assert image_families(object()) == ()


def test_other_trainings_of_a_size_are_told_apart() -> None:
    """By their activation and the size of their input."""
    huge = PRESETS["imagebind_huge"]().towers["vision"].config
    fields = {"name": "x", "width": 1280, "depth": 32, "patch": 14, "dim": 1024}
    assert Family(**fields, activation="gelu").fits(huge)
    assert not Family(**fields, activation="quick_gelu").fits(huge)
    assert not Family(**fields, activation="gelu", side=336).fits(huge)

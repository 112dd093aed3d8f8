"""A large decoder is opened for a space: side, license, norm, gap, bridge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import openbind
from openbind.errors import CheckpointError, InputError
from openbind.evaluation import decoders
from openbind.evaluation.decoders import (
    check_side,
    image_modalities,
    measure_gap,
    measure_norm,
    open_decoder,
    space_families,
)
from openbind.generation import large
from openbind.generation.condition import NORM
from openbind.generation.large import LAION_H, UNCLIP_H, LargeDecoder
from tests.tiny_diffusion import bridge_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers.*")


@pytest.fixture(scope="module")
def tiny() -> openbind.Space:
    """A space of transformers with random weights."""
    return openbind.load(
        "tiny", weights="random", modalities=["image", "text"], device="cpu", dtype="float32"
    )


@pytest.fixture
def entry(tiny_diffusion: ModuleType, monkeypatch: pytest.MonkeyPatch) -> LargeDecoder:
    """A decoder of that space's image side, named "tiny"."""
    made: LargeDecoder = tiny_diffusion.entry_of("unclip")
    monkeypatch.setattr(large, "FAMILIES", (made.family,))
    monkeypatch.setitem(large.DECODERS.added, "tiny", made)
    return made


@pytest.fixture
def few_samples(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A set with four images and four texts stands for all that ship."""
    held = decoders._sets()[0]
    sides = {
        kind: replace(held.sides[kind], items=held.sides[kind].items[:4])
        for kind in ("image", "text")
    }
    few = replace(held, sides=sides)
    monkeypatch.setattr(decoders, "_sets", lambda: [few])
    return few


def test_other_image_sides_are_refused(
    starter: openbind.Space, tiny: openbind.Space, entry: LargeDecoder
) -> None:
    """With the reason, and the bridge named."""
    for space in (starter, tiny):
        with pytest.raises(InputError, match=r"ViT-H/14.*openbind bridge"):
            check_side("unclip-h", UNCLIP_H, space, None)
    check_side("tiny", entry, tiny, None)
    assert space_families(tiny) == ("tiny",)


def test_bridges_of_others_are_refused(
    starter: openbind.Space, tiny: openbind.Space, entry: LargeDecoder
) -> None:
    """Those from other spaces, to other encoders, or of other dimensions."""
    check_side("tiny", entry, starter, bridge_of(starter, 256))
    for space, bridge, reason in (
        (tiny, bridge_of(starter, 256), "leads from starter"),
        (starter, bridge_of(starter, 256, family=LAION_H.name), "leads to other"),
        (starter, bridge_of(starter, 128), "leads to other"),
    ):
        with pytest.raises(InputError, match=reason):
            check_side("tiny", entry, space, bridge)


def test_license_is_asked_first(tiny: openbind.Space, entry: LargeDecoder) -> None:
    """Before anything is fetched; the error has terms, size and how to accept them."""
    with pytest.raises(CheckpointError) as refused:
        open_decoder("tiny", tiny)
    for part in (entry.repository, "0.1 GB", entry.consent, "OPENBIND_ACCEPT_LICENSE=tiny"):
        assert part in str(refused.value)


def test_opened_from_a_folder(
    starter: openbind.Space,
    tiny: openbind.Space,
    entry: LargeDecoder,
    tiny_diffusion: ModuleType,
    few_samples: Any,
    tmp_path: Path,
) -> None:
    """Draws what the space embeds, and over a bridge what another space does."""
    pytest.importorskip("diffusers")
    folder = tiny_diffusion.save_model(tmp_path / "model", "unclip")
    options = {"folder": folder, "dtype": torch.float32, "size": 32}
    space = tiny.with_generator(open_decoder("tiny", tiny, **options))
    vectors = space.encode("text", ["a dog", "rain"])
    images = space.generate(vectors, modality="text", n=1, steps=1)
    assert [image.size for (image,) in images] == [(32, 32)] * 2
    assert images[0][0].tobytes() != images[1][0].tobytes()
    bridge_of(starter, 256).save(tmp_path / "bridge.safetensors")
    decoder = open_decoder("tiny", starter, bridge=tmp_path / "bridge.safetensors", **options)
    assert decoder.condition.norm == 9.0
    other = starter.with_generator(decoder)
    assert len(other.generate(other.encode("text", "a dog"), n=1, steps=1)) == 1
    with pytest.raises(InputError, match="another space"):
        other.generate(vectors)


def test_norm_is_measured(tiny: openbind.Space, starter: openbind.Space, samples: Path) -> None:
    """On sample images, before vectors are made of unit length; 20 without an image side."""
    images = sorted(samples.rglob("*.webp"))[:3]
    pixels_BCHW = tiny.preprocess("image", images)
    with torch.inference_mode():
        lengths = tiny.towers["vision"](pixels_BCHW).norm(dim=-1)
    assert measure_norm(tiny, images) == pytest.approx(float(lengths.median()), rel=1e-4)
    assert measure_norm(openbind.Space(starter.config.narrow(["text"]), {})) == NORM


def test_gap_is_measured_once(
    starter: openbind.Space, few_samples: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The difference of the means of images and another modality; none without samples."""
    gap_E = measure_gap(starter, "text")
    assert gap_E is not None
    means = [
        starter.encode(kind, [item.content for item in few_samples.sides[kind].items]).mean(0)
        for kind in ("image", "text")
    ]
    np.testing.assert_allclose(gap_E, means[0] - means[1], atol=1e-4)
    monkeypatch.setattr(decoders, "_mean", lambda *_: pytest.fail("computed again"))
    again = measure_gap(starter, "text")
    assert again is not None
    np.testing.assert_array_equal(again, gap_E)
    assert measure_gap(starter, "depth") is None


def test_images_are_those_of_one_tower(tiny: openbind.Space, starter: openbind.Space) -> None:
    """Video shares the tower of images."""
    assert image_modalities(tiny) == {"image"}
    assert image_modalities(starter) == {"image", "video"}

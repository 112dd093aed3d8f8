"""Large decoders on tiny models of their format: vectors count, seeds decide, damage is named."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from openbind.errors import CheckpointError, InputError
from openbind.generation.condition import Condition
from openbind.generation.decoder import CanceledError, generate
from openbind.generation.diffusion import Diffusion, load_diffusion, prompt_shape, read_adapter
from openbind.generation.large import LargeDecoder

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers.*")

Model = tuple[LargeDecoder, Path]
NORM = 17.0


def load(model: Model, **changes: Any) -> Diffusion:
    entry, folder = model
    condition = Condition(dim=entry.family.dim, norm=NORM, images=frozenset(["image"]))
    return load_diffusion(
        entry,
        folder,
        condition,
        torch.zeros(prompt_shape(folder)),
        adapter=folder / "adapter.safetensors" if entry.adapter else None,
        dtype=torch.float32,
        size=32,
        **changes,
    )


@pytest.fixture(scope="session")
def decoder(model: Model) -> Diffusion:
    """A loaded tiny decoder of each kind."""
    return load(model)


@pytest.fixture(scope="session")
def vectors() -> np.ndarray:
    """Two unit vectors."""
    rows = np.random.default_rng(0).normal(size=(2, 256))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def pixels(image: Any) -> np.ndarray:
    return np.asarray(image, np.float32)


def test_vectors_and_seeds_decide(decoder: Diffusion, vectors: np.ndarray) -> None:
    """Another vector or seed, another image; the same in any batch, with all steps reported."""
    steps: list[tuple[int, int]] = []

    def note(done: int, total: int) -> bool:
        steps.append((done, total))
        return True

    both = generate(decoder, vectors, modality="image", n=2, progress=note)
    assert [len(images) for images in both] == [2, 2]
    assert {image.size for images in both for image in images} == {(32, 32)}
    assert steps == [(done, 8) for done in range(1, 9)]
    (alone,) = generate(decoder, vectors[1], modality="image", n=1)
    assert np.array_equal(pixels(alone), pixels(both[1][0]))
    for other in (both[0][0], both[1][1]):
        assert np.abs(pixels(other) - pixels(alone)).max() > 0


@pytest.mark.parametrize("guidance", [0, 1, 3.0])
def test_guidance(decoder: Diffusion, vectors: np.ndarray, guidance: float) -> None:
    """Up to 1 without a second, unconditional pass."""
    passes = []
    handle = decoder.pipe.unet.register_forward_pre_hook(
        lambda _, given, **__: passes.append(len(given[0]))
    )
    generate(decoder, vectors[0], n=1, steps=2, guidance=guidance)
    handle.remove()
    assert set(passes) == {2 if guidance > 1 else 1}


def test_networks_get_raw_vectors(
    decoder: Diffusion, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the decoder's length; noise only for what isn't an image."""
    seen: list[dict[str, Any]] = []
    call = type(decoder.pipe).__call__

    def record(pipe: Any, **given: Any) -> Any:
        seen.append(given)
        return call(pipe, **given)

    monkeypatch.setattr(type(decoder.pipe), "__call__", record)
    for modality in ("image", "audio"):
        generate(decoder, vectors[0], modality=modality, n=1, steps=1, guidance=2.0)
    for given in seen:
        embeds = given.get("image_embeds")
        if embeds is None:
            (both,) = given["ip_adapter_image_embeds"]
            assert both.shape == (2, 1, 256)
            assert not both[0].any()
            embeds = both[1]
        assert float(embeds.norm()) == pytest.approx(NORM, rel=1e-4)
    if decoder.entry.pipeline == "unclip":
        assert [given["noise_level"] for given in seen] == [0, 200]


def test_cancels(decoder: Diffusion, vectors: np.ndarray) -> None:
    """At the next step."""
    with pytest.raises(CanceledError):
        generate(decoder, vectors[0], progress=lambda done, total: done < 2)


def test_wrong_vectors(decoder: Diffusion, vectors: np.ndarray) -> None:
    """Of another length or dimension; zero steps."""
    for wrong in (vectors[:, :200], 20 * vectors, np.full_like(vectors, np.nan)):
        with pytest.raises(InputError):
            generate(decoder, wrong)
    with pytest.raises(InputError):
        generate(decoder, vectors[0], steps=0)


def test_damaged_folders(model: Model, tmp_path: Path) -> None:
    """A missing part, a truncated file, a model of other vectors: each is named."""
    entry, folder = model
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    other = replace(entry, family=replace(entry.family, dim=64, name="another"))
    with pytest.raises(CheckpointError, match="expected 64 of another"):
        load((other, copy))
    weights = copy / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="copy"):
        load((entry, copy))
    weights.unlink()
    with pytest.raises(CheckpointError, match="copy"):
        load((entry, copy))


def test_adapter_files(tmp_path: Path) -> None:
    """Only safetensors of the two parts."""
    from safetensors.torch import save_file

    path = tmp_path / "adapter.safetensors"
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(CheckpointError, match="safetensors"):
        read_adapter(path)
    save_file({"unet.weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="image_proj"):
        read_adapter(path)

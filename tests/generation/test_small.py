"""The small decoder: its file, and that images depend on vector and seed only."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from openbind.errors import CheckpointError, InputError
from openbind.generation.decoder import CanceledError, generate
from openbind.generation.small import (
    SmallDecoder,
    pack,
    read_generator,
    unpack,
    write_generator,
)
from tests.generation.small_generator import make_generator, unit


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_generator(make_generator(), tmp_path / "generator.safetensors")
    return tmp_path / "generator.safetensors"


def pixels(image: object) -> np.ndarray:
    return np.asarray(image)


def test_images_do_not_depend_on_the_rest_of_the_batch(path: Path) -> None:
    decoder, vectors = SmallDecoder(path), unit(3, 16).numpy()
    together = generate(decoder, vectors, n=5, seed=3)
    alone = generate(decoder, vectors[1], n=2, seed=3)
    assert len(together) == 3
    assert [len(row) for row in together] == [5, 5, 5]
    assert together[0][0].size == (32, 32)
    for one, other in zip(alone, together[1], strict=False):
        assert np.array_equal(pixels(one), pixels(other))


def test_an_image_of_several_candidates_does_not_depend_on_their_number(path: Path) -> None:
    decoder, vectors = SmallDecoder(path), unit(2, 16).numpy()

    def look(images: list[Image.Image]) -> np.ndarray:
        means = np.array([np.asarray(image).mean() for image in images])
        return np.eye(16)[0] * means[:, None]

    options = {"candidates": 3, "seed": 4, "look": look}
    together = generate(decoder, vectors, n=2, **options)
    alone = generate(decoder, vectors[1], n=1, **options)
    assert np.array_equal(pixels(alone[0]), pixels(together[1][0]))
    assert not np.array_equal(pixels(together[1][0]), pixels(together[1][1]))


def test_vector_seed_steps_and_guidance_change_an_image(path: Path) -> None:
    decoder, vectors = SmallDecoder(path), unit(2, 16).numpy()
    first = pixels(generate(decoder, vectors[0], n=1)[0])
    assert np.array_equal(first, pixels(generate(decoder, vectors[0], n=1)[0]))
    assert not np.array_equal(first, pixels(generate(decoder, vectors[1], n=1)[0]))
    for changes in ({"seed": 1}, {"steps": 1}, {"guidance": 5.0}):
        assert not np.array_equal(first, pixels(generate(decoder, vectors[0], n=1, **changes)[0]))


def test_a_file_holds_what_was_written(path: Path) -> None:
    found, own = read_generator(path), make_generator()
    assert found.config == own.config
    assert torch.allclose(found.images.what_MD, own.images.what_MD, atol=0.02)
    assert torch.allclose(found.means["image"], own.means["image"])
    for name, value in own.network.state_dict().items():
        assert torch.allclose(found.network.state_dict()[name], value, atol=5e-3), name


def test_large_matrices_are_stored_with_8_bits() -> None:
    value = torch.randn(64, 128) * torch.logspace(-3, 3, 64)[:, None]
    stored = pack("a.weight", value)
    assert stored["a.weight"].dtype == torch.int8
    relative = (unpack(stored)["a.weight"] - value).abs() / value.abs().amax(1, keepdim=True)
    assert relative.max() < 1 / 200


def test_drawing_reports_its_steps_and_can_be_canceled(path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def watch(done: int, total: int) -> bool:
        seen.append((done, total))
        return len(seen) < 4

    decoder, vectors = SmallDecoder(path), unit(2, 16).numpy()
    with pytest.raises(CanceledError):
        generate(decoder, vectors, n=4, progress=watch)
    assert seen == [(1, 24), (2, 24), (3, 24), (4, 24)]


def test_another_image_side_is_refused_when_it_draws(path: Path) -> None:
    vector = unit(16).numpy()
    generate(SmallDecoder(path, lambda: "one side"), vector, n=1)
    with pytest.raises(InputError, match="another side"):
        generate(SmallDecoder(path, lambda: "another side"), vector, n=1)


def test_damaged_files_are_refused(path: Path, tmp_path: Path) -> None:
    truncated = tmp_path / "truncated.safetensors"
    truncated.write_bytes(path.read_bytes()[:-100])
    plain = tmp_path / "plain.safetensors"
    save_file({"a": torch.zeros(1)}, plain)
    newer = tmp_path / "newer.safetensors"
    save_file({"a": torch.zeros(1)}, newer, metadata={"config": json.dumps({"format": 99})})
    for wrong in (truncated, plain, newer, tmp_path / "missing.safetensors"):
        with pytest.raises(CheckpointError):
            SmallDecoder(wrong)


def test_tensors_that_do_not_fit_the_config_are_refused(path: Path) -> None:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    del tensors["network.start.weight"]
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(CheckpointError):
        generate(SmallDecoder(path), unit(16).numpy(), n=1)

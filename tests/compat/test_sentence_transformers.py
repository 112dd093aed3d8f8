"""A SentenceTransformer over a space encodes all its modalities, and can be saved and loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import openbind

sentence_transformers = pytest.importorskip(
    "sentence_transformers", reason="the extra st isn't installed"
)

from openbind.compat.sentence_transformers import OpenBind  # noqa: E402


@pytest.fixture(scope="module")
def model(small: openbind.Space) -> Any:
    """A model of random weights, on the CPU."""
    return sentence_transformers.SentenceTransformer(modules=[OpenBind(small)], device="cpu")


@pytest.fixture(scope="module")
def items() -> dict[str, Any]:
    """An item of each modality, as `Space.encode` takes it."""
    generator = np.random.default_rng(0)
    return {
        "text": "a dog",
        "image": Image.linear_gradient("L").convert("RGB"),
        "audio": {"array": generator.normal(0, 0.1, 16_000).astype("f4"), "sampling_rate": 16_000},
        "depth": np.full((32, 48), 2.0, np.float32),
        "thermal": Image.radial_gradient("L"),
        "imu": {"array": generator.normal(0, 1, (400, 6)), "sampling_rate": 50},
        "video": (generator.integers(0, 255, (8, 32, 48, 3)).astype(np.uint8), 4),
    }


def test_every_modality(model: Any, small: openbind.Space, items: dict[str, Any]) -> None:
    """Dictionaries of one modality, each alone and all in one batch in their order."""
    expected = {name: small.encode(name, [item])[0] for name, item in items.items()}
    for name, item in items.items():
        np.testing.assert_allclose(model.encode([{name: item}])[0], expected[name], atol=1e-5)
    mixed = model.encode([{name: item} for name, item in items.items()])
    np.testing.assert_allclose(mixed, list(expected.values()), atol=1e-5)
    assert model.get_embedding_dimension() == small.dim
    assert {"text", "image", "audio", "video"} <= set(model.modalities)


def test_inputs_of_sentence_transformers(
    model: Any, small: openbind.Space, items: dict[str, Any], tmp_path: Path
) -> None:
    """Bare items, paths, videos with metadata, prompts and truncation."""
    path = tmp_path / "gradient.png"
    items["image"].save(path)
    image = small.encode("image", items["image"])
    bare = model.encode([items["image"], str(path), items["audio"], "a dog"])
    expected = [image, image, small.encode("audio", items["audio"]), small.encode("text", "a dog")]
    np.testing.assert_allclose(bare, expected, atol=1e-5)
    frames, fps = items["video"]
    video = {"array": torch.from_numpy(frames).permute(0, 3, 1, 2), "video_metadata": {"fps": fps}}
    np.testing.assert_allclose(
        model.encode({"video": video}), small.encode("video", items["video"]), atol=1e-5
    )
    prompted = model.encode(["a dog"], prompt="a photo of ")
    np.testing.assert_allclose(prompted, small.encode("text", ["a photo of a dog"]), atol=1e-5)
    assert model.encode(["a dog"], truncate_dim=16).shape == (1, 16)
    scores = model.similarity(bare[:1], bare)
    assert float(scores[0, 1]) == pytest.approx(1, abs=1e-5)


def test_sums(model: Any, small: openbind.Space, items: dict[str, Any]) -> None:
    """Several modalities in one item, or in one message, make the sum of their vectors."""
    image, depth = items["image"], items["depth"]
    vectors = small.encode("image", image), small.encode("depth", depth)
    expected = openbind.combine([(each, 1.0) for each in vectors])
    np.testing.assert_allclose(model.encode({"image": image, "depth": depth}), expected, atol=1e-5)
    content = [{"type": "image", "image": image}, {"type": "text", "text": "a dog"}]
    found = model.encode([[{"role": "user", "content": content}]])[0]
    words = openbind.combine([(vectors[0], 1.0), (small.encode("text", "a dog"), 1.0)])
    np.testing.assert_allclose(found, words, atol=1e-5)


def test_errors(model: Any, tmp_path: Path) -> None:
    """Unknown modalities, and files that aren't there, are named."""
    with pytest.raises(openbind.InputError, match="smell"):
        model.encode([{"smell": "roses"}])
    with pytest.raises(openbind.InputError, match=r"gone\.png"):
        model.encode([{"image": str(tmp_path / "gone.png")}])


def test_saved_and_loaded(model: Any, tmp_path: Path, items: dict[str, Any]) -> None:
    """By sentence-transformers' own files, which name the class: it asks for trust."""
    model.save_pretrained(str(tmp_path / "model"))
    loaded = sentence_transformers.SentenceTransformer(
        str(tmp_path / "model"), trust_remote_code=True, device="cpu"
    )
    batch = [{"depth": items["depth"]}, "a dog"]
    np.testing.assert_allclose(loaded.encode(batch), model.encode(batch), atol=1e-5)


def test_missing_extra(tmp_path: Path) -> None:
    """Without the package, the error says what to install."""
    (tmp_path / "sentence_transformers.py").write_text("raise ImportError")
    code = (
        "import sys\nsys.path.insert(0, sys.argv[1])\nimport openbind\ntry:\n"
        "    import openbind.compat.sentence_transformers\n"
        "except openbind.MissingExtraError as error:\n    print(error.extra)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "st\n", done.stderr

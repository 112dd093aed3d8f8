"""Space: unit float32 rows in the items' order, whatever the form, the batch or the neighbors."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import openbind
from openbind.evaluation.samples import SampleItem

SPACE_MODALITIES = ("image", "text", "audio")


def some(
    sample_items: list[SampleItem], modality: str, folder: Path, count: int = 4
) -> list[object]:
    return [item.content(folder) for item in sample_items if item.modality == modality][:count]


@pytest.mark.parametrize("modality", SPACE_MODALITIES)
def test_rows_are_unit_float32(
    starter: openbind.Space, sample_items: list[SampleItem], samples: Path, modality: str
) -> None:
    """(n, dim) float32, each row of length 1."""
    vectors = starter.encode(modality, some(sample_items, modality, samples))
    assert vectors.shape == (4, starter.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("modality", SPACE_MODALITIES)
def test_batch_equals_one_by_one(
    starter: openbind.Space, sample_items: list[SampleItem], samples: Path, modality: str
) -> None:
    """Neighbors, batch size and repetition don't change a vector; order is kept."""
    items = some(sample_items, modality, samples, 5)
    mixed = [*items[::-1], items[2]]
    together = starter.encode(modality, mixed, batch_size=3)
    alone = np.stack([starter.encode(modality, [item])[0] for item in mixed])
    np.testing.assert_allclose(together, alone, atol=2e-5)
    np.testing.assert_array_equal(together[-1], together[2])
    np.testing.assert_array_equal(together, starter.encode(modality, mixed, batch_size=3))


@pytest.mark.parametrize("modality", SPACE_MODALITIES)
def test_one_item_gives_one_vector(
    starter: openbind.Space, sample_items: list[SampleItem], samples: Path, modality: str
) -> None:
    """An item outside a list gives (dim,); an empty list gives (0, dim)."""
    item = some(sample_items, modality, samples, 1)[0]
    assert starter.encode(modality, item).shape == (starter.dim,)
    np.testing.assert_array_equal(
        starter.encode(modality, item), starter.encode(modality, [item])[0]
    )
    assert starter.encode(modality, []).shape == (0, starter.dim)
    assert starter.encode(modality, (x for x in [item])).shape == (1, starter.dim)


def test_an_array_of_images(starter: openbind.Space) -> None:
    """(n, H, W, 3) is n images, (n, 3, H, W) as a tensor too; (H, W, 3) is one."""
    batch = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3), dtype=np.uint8)
    vectors = starter.encode("image", batch)
    np.testing.assert_array_equal(vectors, starter.encode("image", list(batch)))
    tensor = torch.from_numpy(batch).permute(0, 3, 1, 2)
    np.testing.assert_array_equal(starter.encode("image", tensor), vectors)
    assert starter.encode("image", batch[0]).shape == (starter.dim,)


def test_forms_of_a_image_agree(
    starter: openbind.Space, sample_items: list[SampleItem], samples: Path
) -> None:
    """Path, str, bytes, PIL image, array and tensor of one image give one vector."""
    path = Path(str(some(sample_items, "image", samples, 1)[0]))
    flat = Image.new("RGB", (1, 1))
    with Image.open(path) as opened:
        rgba = opened.convert("RGBA")
        flat = Image.new("RGBA", rgba.size, "white")
        flat.alpha_composite(rgba)
    image = flat.convert("RGB")
    array = np.asarray(image)
    forms = [
        path,
        str(path),
        path.read_bytes(),
        image,
        array,
        torch.from_numpy(array.copy()).permute(2, 0, 1),
    ]
    vectors = starter.encode("image", forms)
    np.testing.assert_allclose(vectors, np.broadcast_to(vectors[0], vectors.shape), atol=1e-5)


def test_forms_of_a_sound_agree(
    starter: openbind.Space, sample_items: list[SampleItem], samples: Path
) -> None:
    """Path, bytes, (samples, rate), a dict and stereo with equal channels give one vector."""
    path = Path(str(some(sample_items, "audio", samples, 1)[0]))
    values, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = values.mean(axis=1)
    buffer = io.BytesIO()
    soundfile.write(buffer, mono, rate, format="WAV", subtype="FLOAT")
    forms = [
        path,
        path.read_bytes(),
        (mono, rate),
        {"array": mono, "sampling_rate": rate},
        (np.stack([mono, mono]), rate),
        (torch.from_numpy(mono), rate),
        buffer.getvalue(),
    ]
    vectors = starter.encode("audio", forms)
    np.testing.assert_allclose(vectors, np.broadcast_to(vectors[0], vectors.shape), atol=1e-4)


def test_inputs_are_not_changed(starter: openbind.Space) -> None:
    """Arrays that are handed in keep their values."""
    random = np.random.default_rng(0)
    image = random.integers(0, 255, (40, 50, 3), dtype=np.uint8)
    sound = random.normal(0, 0.1, 30_000).astype(np.float32)
    before = image.copy(), sound.copy()
    starter.encode("image", [image])
    starter.encode("audio", [(sound, 16_000)])
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(sound, before[1])


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("seconds", [0.01, 0.5, 2.0, 13.7])
def test_any_rate_and_length(starter: openbind.Space, rate: int, seconds: float) -> None:
    """Sounds of any rate and length are embedded."""
    time = np.arange(int(rate * seconds)) / rate
    vector = starter.encode("audio", [(np.sin(2 * np.pi * 440 * time).astype(np.float32), rate)])
    assert np.isfinite(vector).all()


def test_clips_and_their_times(starter: openbind.Space) -> None:
    """`pool=None` gives each clip's unit vector with its times; their mean is the item's."""
    sound = np.random.default_rng(0).normal(0, 0.1, 16_000 * 7).astype(np.float32)
    (clips,) = starter.encode("audio", [(sound, 16_000)], pool=None)
    assert len(clips) > 1
    assert clips.times is not None
    assert len(clips.times) == len(clips)
    assert clips.times[0][0] == 0
    assert clips.times[-1][1] == pytest.approx(7, abs=0.1)
    np.testing.assert_allclose(np.linalg.norm(clips, axis=1), 1, atol=1e-5)
    mean = np.asarray(clips).mean(axis=0)
    np.testing.assert_allclose(
        starter.encode("audio", [(sound, 16_000)])[0], mean / np.linalg.norm(mean), atol=1e-5
    )


def test_bad_items_raise_warn_or_are_noted(starter: openbind.Space) -> None:
    """A bad item raises, or leaves a row of NaN in its place while the others are embedded."""
    items = [np.zeros((9, 9, 3), np.uint8), b"not an image", np.ones((9, 9, 3), np.uint8)]
    with pytest.raises(openbind.InputError, match="bytes"):
        starter.encode("image", items)
    with pytest.warns(UserWarning, match="bytes"):
        vectors = starter.encode("image", items, on_error="warn")
    assert np.isnan(vectors[1]).all()
    assert np.isfinite(vectors[[0, 2]]).all()
    noted: list[int] = []
    starter.encode("image", items, on_error=lambda index, error: noted.append(index))
    assert noted == [1]
    with pytest.raises(ValueError, match="on_error"):
        starter.encode("image", items, on_error="ignore")


def test_unknown_modality_is_named(starter: openbind.Space) -> None:
    """A misspelt modality is answered with the nearest."""
    with pytest.raises(openbind.UnknownNameError, match="did you mean 'audio'"):
        starter.encode("adio", ["x"])


@pytest.mark.parametrize("modality", SPACE_MODALITIES)
def test_tensors_embed_as_items_do(
    starter: openbind.Space, sample_items: list[SampleItem], samples: Path, modality: str
) -> None:
    """`preprocess` then `embed_tensors` is `encode`; scaled is the unit vector times the scale."""
    items = some(sample_items, modality, samples, 2)
    tensor = starter.preprocess(modality, items)
    unit = starter.embed_tensors({modality: tensor})[modality]
    np.testing.assert_allclose(unit.numpy(), starter.encode(modality, items), atol=2e-5)
    scaled = starter.embed_tensors({modality: tensor}, scaled=True)[modality]
    scale = starter.config.modalities[modality].scale
    assert (scaled.norm(dim=-1) <= scale * 1.0001).all()
    np.testing.assert_allclose(
        torch.nn.functional.normalize(scaled, dim=-1).numpy(), unit.numpy(), atol=2e-5
    )


def test_tensors_go_by_the_name_of_their_tower_too(starter: openbind.Space) -> None:
    """A tower's name stands for the modality whose axes fit; other axes are refused."""
    tensor = torch.rand(2, 3, 64, 64)
    by_tower = starter.embed_tensors({"vision": tensor})["vision"]
    torch.testing.assert_close(by_tower, starter.embed_tensors({"image": tensor})["image"])
    with pytest.raises(openbind.InputError, match="expected 4 axes"):
        starter.embed_tensors({"image": torch.rand(3, 64)})


def test_logits_are_scaled_cosines(starter: openbind.Space) -> None:
    """(n, m), the product of both scales times the cosine."""
    vectors = starter.encode("text", ["a dog", "rain"])
    scale = starter.config.modalities["text"].scale ** 2
    logits = starter.logits("text", vectors, "text", vectors[0])
    np.testing.assert_allclose(logits, scale * vectors @ vectors[:1].T, rtol=1e-4)
    np.testing.assert_allclose(starter.similarity(vectors, vectors[1])[1], 1, atol=1e-5)


def test_items_are_never_taken_for_vectors(starter: openbind.Space) -> None:
    """A depth map as wide as the space is an item: it has to be encoded first."""
    vectors = starter.encode("text", ["a dog"])
    map_HW = np.random.default_rng(0).uniform(1, 5, (starter.dim, starter.dim)).astype(np.float32)
    for wrong in (map_HW, ["a dog"], vectors[:, 1:], (100 * vectors).astype(np.int64)):
        with pytest.raises(openbind.InputError, match="encode"):
            starter.similarity(wrong, vectors)
        with pytest.raises(openbind.InputError, match="encode"):
            starter.logits("text", vectors, "depth", wrong)


def test_arrays_and_series_of_items(starter: openbind.Space) -> None:
    """An array of strings, a pandas Series and a stack of depth maps hold several items."""
    texts = ["a dog", "rain"]
    expected = starter.encode("text", texts)
    np.testing.assert_allclose(starter.encode("text", np.array(texts)), expected, atol=1e-6)
    pandas = pytest.importorskip("pandas")
    np.testing.assert_allclose(starter.encode("text", pandas.Series(texts)), expected, atol=1e-6)
    maps_NHW = np.random.default_rng(0).uniform(1, 5, (3, 48, 64)).astype(np.float32)
    assert starter.encode("depth", maps_NHW).shape == (3, starter.dim)
    assert starter.encode("depth", maps_NHW[0]).shape == (starter.dim,)


def test_towers_stay_as_they_were(starter: openbind.Space) -> None:
    """A space neither freezes its caller's network nor leaves training mode switched off."""
    tower = copy.deepcopy(starter.towers["depth"]).requires_grad_(True).train()
    config = starter.config.narrow(["depth"])
    space = openbind.Space(config, {"depth": tower}, starter.card, starter.folder)
    map_HW = np.full((48, 64), 2.0, np.float32)
    found = space.encode("depth", map_HW)
    np.testing.assert_allclose(found, starter.encode("depth", map_HW), atol=1e-6)
    assert tower.training
    assert all(parameter.requires_grad for parameter in tower.parameters())


def test_moving(starter: openbind.Space) -> None:
    """Another precision is another identity; the same device and precision change nothing."""
    config = starter.config.narrow(["imu"])
    towers = {"imu": copy.deepcopy(starter.towers["imu"])}
    space = openbind.Space(config, towers, starter.card, starter.folder)
    before = space.fingerprint
    assert space.to("cpu").fingerprint == before
    assert space.to("cpu", torch.bfloat16).fingerprint != before


def test_generation_needs_a_decoder() -> None:
    """A space without one says so; one with another decoder draws, and keeps it."""
    space = openbind.load("tiny", weights="random", modalities=["text"], device="cpu")
    space.generator = None
    with pytest.raises(openbind.InputError, match="no decoder"):
        space.generate(space.encode("text", "a dog"))
    drawn = []

    class Recorder:
        dim, accepts, candidates = space.dim, "", 1

        def draw(self, vectors_BE: np.ndarray, **options: Any) -> list[list[Any]]:
            drawn.append((vectors_BE.shape, options["modality"], options["n"]))
            return [[] for _ in vectors_BE]

    other = space.with_generator(Recorder()).with_limits(seconds=5).with_settings("text")
    assert other.generate(space.encode("text", "a dog"), modality="text", n=2) == []
    assert drawn == [((1, space.dim), "text", 2)]

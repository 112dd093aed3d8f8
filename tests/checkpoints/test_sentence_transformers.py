"""Models of sentence-transformers as spaces: same vectors, settings, references, clear errors."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import openbind
from openbind.errors import CheckpointError, ConfigError, MissingExtraError, UnknownNameError
from tests import tiny_anchors

pytest.importorskip("sentence_transformers", reason="the extra st isn't installed")

TEXTS = ["a photo of red", "blue", "a photo of white green"]
pytestmark = pytest.mark.filterwarnings("ignore")  # of other libraries


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of random weights."""
    return tiny_anchors.write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def space(clip: Path) -> openbind.Space:
    """The CLIP as a space."""
    return openbind.load(f"st:{clip}", device="cpu")


@pytest.fixture(scope="module")
def theirs(clip: Path) -> Any:
    """The CLIP as sentence-transformers loads it."""
    return open_theirs(clip)


def open_theirs(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


def encode(model: Any, part: str, items: list[Any], **options: Any) -> np.ndarray:
    given = [{part: item} for item in items]
    found = model.encode(given, normalize_embeddings=True, show_progress_bar=False, **options)
    return np.asarray(found)


def test_same_vectors(space: openbind.Space, theirs: Any) -> None:
    """Texts and images have the vectors that the library itself computes, of unit length."""
    images = [tiny_anchors.draw("red", 1), tiny_anchors.draw("blue", 2, (70, 33))]
    assert space.modalities == ("image", "text")
    assert space.dim == 16
    for modality, items in (("image", images), ("text", TEXTS)):
        found = space.encode(modality, items)
        np.testing.assert_allclose(found, encode(theirs, modality, items), atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_card_and_scale(space: openbind.Space, clip: Path) -> None:
    """The license is the model card's; the logit scale is the model's own."""
    assert space.card.license == "apache-2.0"
    assert space.card.sources[0].origin == str(clip)
    assert space.config.modalities["text"].scale == pytest.approx(1 / 0.07, rel=0.01)


def test_prompts_and_truncation(clip: Path, space: openbind.Space, theirs: Any) -> None:
    """Both are settings: they decide vectors and identities, and are saved."""
    options = {"truncate_dim": 8, "prompts": {"text": "query: "}}
    found = openbind.load(f"st:{clip}", device="cpu", anchor=options)
    expected = encode(theirs, "text", TEXTS, prompt="query: ", truncate_dim=8)
    np.testing.assert_allclose(found.encode("text", TEXTS), expected, atol=1e-5)
    assert found.identity("text") != space.identity("text")
    assert found.identity("image") != space.identity("image")
    named = openbind.load(f"st:{clip}", device="cpu", anchor={"prompts": {"text": "query"}})
    assert named.config.towers["text"].config.prompt == theirs.prompts["query"]
    assert named.identity("image") == space.identity("image")


def test_saved_space_is_a_reference(space: openbind.Space, clip: Path, tmp_path: Path) -> None:
    """A saved space has no weights; it loads equal, and refuses a model that changed."""
    folder = tmp_path / "saved"
    openbind.save(space, folder)
    assert not list(folder.glob("*.safetensors"))
    stored = json.loads((folder / "config.json").read_text())["towers"]["text"]["config"]
    assert stored["name"] == str(clip)
    again = openbind.load(folder, device="cpu", modalities=["text"])
    assert again.modalities == ("text",)
    assert (again.encode("text", TEXTS) == space.encode("text", TEXTS)).all()
    assert again.identity("text") == space.identity("text")
    assert space.to("cpu", torch.float64).identity("text") != again.identity("text")
    space.to("cpu", torch.float32)

    config = json.loads((folder / "config.json").read_text())
    for tower in config["towers"].values():
        tower["config"]["revision"] = "sha256:" + "0" * 64
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="changed") as caught:
        openbind.load(folder, device="cpu")
    assert caught.value.path == str(clip)
    for tower in config["towers"].values():
        tower["config"]["name"] = str(tmp_path / "gone")
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="no such directory"):
        openbind.load(folder, device="cpu")


def test_no_name(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prefix alone isn't the model that happens to be in the working directory."""
    monkeypatch.chdir(clip)
    with pytest.raises(CheckpointError, match="no such directory"):
        openbind.load("st:", device="cpu")


def test_sound(tmp_path: Path) -> None:
    """A CLAP gets sounds at its own rate, mixed to one channel; long ones are cut, not randomly."""
    folder = tiny_anchors.write_clap(tmp_path / "clap")
    found, theirs = openbind.load(f"st:{folder}", device="cpu"), open_theirs(folder)
    assert found.modalities == ("text", "audio")
    settings = found.config.modalities["audio"].settings
    assert (settings.features.rate_hz, settings.clip_samples) == (16_000, 16_000)
    rng = np.random.default_rng(0)
    short = rng.normal(0, 0.1, 12_000).astype(np.float32)
    expected = encode(theirs, "audio", [{"array": short, "sampling_rate": 16_000}])
    np.testing.assert_allclose(found.encode("audio", [(short, 16_000)]), expected, atol=1e-5)
    stereo = rng.normal(0, 0.1, (2, 44_100 * 2 + 77)).astype(np.float32)
    clips = found.encode("audio", (stereo, 44_100), pool=None)
    assert clips.shape == (3, 16)
    assert (clips == found.encode("audio", (stereo, 44_100), pool=None)).all()
    np.testing.assert_allclose(
        found.encode("text", TEXTS), encode(theirs, "text", TEXTS), atol=1e-5
    )


def test_any_aspect_ratio(tmp_path: Path) -> None:
    """A SigLIP 2 of the NaFlex kind, which our own loader doesn't take, sees whole images."""
    folder = tiny_anchors.write_naflex(tmp_path / "naflex")
    with pytest.raises(CheckpointError, match="st:"):
        openbind.load(folder)
    found, theirs = openbind.load(f"st:{folder}", device="cpu"), open_theirs(folder)
    wide = [tiny_anchors.draw("red", 1, (90, 30)), tiny_anchors.draw("red", 1, (30, 90))]
    np.testing.assert_allclose(
        found.encode("image", wide), encode(theirs, "image", wide), atol=1e-5
    )
    np.testing.assert_allclose(
        found.encode("text", TEXTS), encode(theirs, "text", TEXTS), atol=1e-5
    )


def test_wrong_names_and_options(clip: Path, tmp_path: Path) -> None:
    """Each mistake is one error that names what is wrong."""
    for name in ("nothing", "a/b/c", str(tmp_path / "missing")):
        with pytest.raises(CheckpointError, match="organization/name"):
            openbind.load(f"st:{name}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="sentence-transformers"):
        openbind.load(f"st:{tmp_path / 'empty'}")
    with pytest.raises(CheckpointError, match="16 dimensions, found 99"):
        openbind.load(f"st:{clip}", anchor={"truncate_dim": 99})
    with pytest.raises(UnknownNameError) as caught:
        openbind.load(f"st:{clip}", anchor={"prompts": {"audio": "x"}})
    assert caught.value.known == ("image", "text")
    with pytest.raises(ConfigError, match="truncate_dim"):
        openbind.load(f"st:{clip}", anchor={"truncate": 8})
    with pytest.raises(CheckpointError, match="anchor"):
        openbind.load("starter", anchor={"truncate_dim": 8})


def test_remote_code(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model with code of its own runs only when the user says so."""
    folder = tmp_path / "own_code"
    folder.mkdir()
    for file in clip.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "foreign", "auto_map": {"AutoConfig": "own.C", "AutoModel": "own.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('the code ran')\n")
    with pytest.raises(CheckpointError, match="OPENBIND_TRUST_REMOTE_CODE"):
        openbind.load(f"st:{folder}", device="cpu")
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setenv("OPENBIND_TRUST_REMOTE_CODE", str(folder))
    with pytest.raises(SystemExit, match="the code ran"):
        openbind.load(f"st:{folder}", device="cpu")


@pytest.fixture
def _no_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    return


@pytest.mark.usefixtures("_no_library")
def test_missing_extra(clip: Path) -> None:
    """Without the extra one message says how to install it."""
    with pytest.raises(MissingExtraError) as caught:
        openbind.load(f"st:{clip}")
    assert caught.value.extra == "st"


def test_missing_torchvision(clip: Path, tmp_path: Path) -> None:
    """A processor of video that needs torchvision says so, where it isn't installed."""
    if importlib.util.find_spec("torchvision") is not None:
        pytest.skip("torchvision is installed")
    folder = tmp_path / "with_video"
    folder.mkdir()
    for file in clip.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    processor = json.loads((folder / "processor_config.json").read_text())
    processor["processor_class"] = "Qwen3VLProcessor"
    processor["video_processor"] = {"video_processor_type": "Qwen3VLVideoProcessor"}
    (folder / "processor_config.json").write_text(json.dumps(processor))
    with pytest.raises(CheckpointError, match="pip install torchvision"):
        openbind.load(f"st:{folder}", device="cpu")


def test_video(tmp_path: Path) -> None:
    """A model of video gets clips of one frame a second, with their times, already chosen."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError) as error:  # of builds for another torch
        pytest.skip(f"processors of video need torchvision: {error}")
    folder = tiny_anchors.write_qwen3_vl(tmp_path / "qwen")
    found, theirs = openbind.load(f"st:{folder}", device="cpu"), open_theirs(folder)
    assert found.modalities == ("image", "video", "text")
    frames_THWC = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3)).astype(np.uint8)
    clips = found.encode("video", (frames_THWC, 2.0), pool=None)
    assert [round(end) for _, end in clips.times] == [16, 20]
    shown_CTHW = found.preprocess("video", [(frames_THWC, 2.0)])[0, 0]
    metadata = {"fps": 1.0, "total_num_frames": 16, "duration": 16.0}
    metadata["frames_indices"] = list(range(16))
    item = {"array": shown_CTHW.permute(1, 2, 3, 0).numpy(), "video_metadata": metadata}
    chosen = {"processing_kwargs": {"video": {"do_sample_frames": False}}}
    np.testing.assert_allclose(clips[0], encode(theirs, "video", [item], **chosen)[0], atol=1e-5)
    image = tiny_anchors.draw("red", 1)
    np.testing.assert_allclose(
        found.encode("image", [image]), encode(theirs, "image", [image]), atol=1e-5
    )

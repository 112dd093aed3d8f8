"""PE-AV directories as spaces: one for each text head, references, errors."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import openbind
from openbind.checkpoints.pe_av import HEADS, embed_videos
from openbind.errors import CheckpointError, UnknownNameError
from tests import tiny_anchors

transformers = pytest.importorskip("transformers", reason="Transformers isn't installed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of Transformers
WORDS = ["text", "audio"]
TEXTS = ["red", "a photo of blue"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of random weights."""
    vision = tiny_anchors.make_frames_tower()
    return tiny_anchors.write_pe_av(tmp_path_factory.mktemp("pe_av"), vision)


@pytest.fixture(scope="module")
def space(folder: Path) -> openbind.Space:
    """Its space of sounds, without frames."""
    return openbind.load(f"pe-av:{folder}#audio", device="cpu", modalities=WORDS)


def test_sounds_and_texts(space: openbind.Space) -> None:
    """Their vectors are those of the whole model; nothing of its frames is read."""
    network = tiny_anchors.make_pe_av(tiny_anchors.make_frames_tower())
    samples_T = np.random.default_rng(0).normal(0, 0.1, 800).astype(np.float32)
    with torch.inference_mode():
        sounds = network.get_audio_embeds(torch.from_numpy(samples_T)[None, None])
        network.text_model.final_norm = torch.nn.Identity()
        ids = torch.tensor([[2, tiny_anchors.WORDS.index("red"), 3]])
        tokens = network.text_model(ids).last_hidden_state
        texts = network.audio_model.text_audio_head(tokens[:, 0])
    assert (space.modalities, space.dim) == (("text", "audio"), 32)
    expected = torch.nn.functional.normalize(sounds, dim=-1)
    np.testing.assert_allclose(space.encode("audio", [(samples_T, 16_000)]), expected, atol=1e-5)
    expected = torch.nn.functional.normalize(texts, dim=-1)
    np.testing.assert_allclose(space.encode("text", TEXTS)[:1], expected, atol=1e-5)
    long = space.encode("audio", (np.tile(samples_T, 410), 16_000), pool=None)
    assert [round(end) for _, end in long.times] == [16, 20]


def test_saved_space_is_a_reference(space: openbind.Space, folder: Path, tmp_path: Path) -> None:
    """A saved space has no weights, and loads equal."""
    openbind.save(space, tmp_path / "saved")
    assert not list((tmp_path / "saved").glob("*.safetensors"))
    again = openbind.load(tmp_path / "saved", device="cpu")
    assert (again.encode("text", TEXTS) == space.encode("text", TEXTS)).all()
    assert again.fingerprint == space.fingerprint
    assert space.name == f"{folder.name}#audio"
    assert space.card.license == "apache-2.0"


def test_errors(folder: Path, tmp_path: Path) -> None:
    """Spaces, modalities, other models and missing weights are named."""
    for name in (f"pe-av:{folder}", f"pe-av:{folder}#speech"):
        with pytest.raises(UnknownNameError) as unknown:
            openbind.load(name, device="cpu")
        assert set(unknown.value.known) == set(HEADS)
    with pytest.raises(UnknownNameError, match="depth"):
        openbind.load(f"pe-av:{folder}#audio", device="cpu", modalities=["depth"])
    other = tiny_anchors.write_clip(tmp_path / "clip")
    with pytest.raises(CheckpointError, match="pe_audio_video"):
        openbind.load(f"pe-av:{other}#audio", device="cpu")
    config = json.loads((folder / "config.json").read_text())
    del config["audio_video_config"]["audio_config"]["dac_config"]
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="dac_config"):
        openbind.load(f"pe-av:{other}#audio", device="cpu")


def test_frames_without_timm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tower of frames of released models is timm's; what works without it is said."""
    monkeypatch.setitem(sys.modules, "timm", None)
    assert openbind.load(f"pe-av:{folder}#audio", device="cpu").modalities == ("text", "audio")
    for name, modalities in (("#video", None), ("#audio", ["image"])):
        with pytest.raises(CheckpointError, match="pip install timm") as caught:
            openbind.load(f"pe-av:{folder}{name}", device="cpu", modalities=modalities)
        assert "#audio" in caught.value.reason


def test_frames(tmp_path: Path) -> None:
    """With timm: three spaces of one model, the same frames and sounds, texts by their heads."""
    pytest.importorskip("timm", reason="timm isn't installed")
    from transformers import TimmWrapperConfig

    vision = TimmWrapperConfig(
        architecture="vit_pe_core_tiny_patch16_384",
        model_args={"depth": 1, "img_size": 32},
        id2label={index: str(index) for index in range(24)},
        do_pooling=True,
        initializer_range=0.02,
    )
    folder = tiny_anchors.write_pe_av(tmp_path, vision)
    spaces = {name: openbind.load(f"pe-av:{folder}#{name}", device="cpu") for name in HEADS}
    image = tiny_anchors.draw("red", 1)
    frames = (np.stack([np.array(image)] * 4), 2.0)
    for modality, item in (("image", image), ("video", frames)):
        first, *others = (space.encode(modality, item) for space in spaces.values())
        assert all(np.allclose(first, other, atol=1e-6) for other in others)
    texts = [space.encode("text", "red") for space in spaces.values()]
    assert max(float(texts[at] @ texts[at - 1]) for at in range(3)) < 0.99
    path = tmp_path / "with_sound.mp4"
    write_video(path)
    joint = embed_videos(spaces["audio-video"], [path])
    assert joint.shape == (1, 32)
    assert np.linalg.norm(joint) == pytest.approx(1, abs=1e-5)


def write_video(path: Path) -> None:
    """Write two seconds of gray frames with noise as their sound."""
    import av

    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (1, 32_000)).astype(np.float32)
    with av.open(path, "w") as container:
        frames = container.add_stream("mpeg4", rate=4, width=64, height=48, pix_fmt="yuv420p")
        sound = container.add_stream("aac", rate=16_000, layout="mono")
        for level in range(8):
            pixels = np.full((48, 64, 3), 20 * level, np.uint8)
            container.mux(frames.encode(av.VideoFrame.from_ndarray(pixels)))
        samples = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
        samples.rate = 16_000
        container.mux([*sound.encode(samples), *sound.encode(None), *frames.encode(None)])

"""Scripts written for the reference run over a space, with the reference's own outputs."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import openbind
from openbind.compat import imagebind as compat
from openbind.modalities import MODALITIES
from tests.warm import Warm

Install = Callable[..., None]
SCRIPT = """
from imagebind import data
import torch
from imagebind.models import imagebind_model
from imagebind.models.imagebind_model import ModalityType

text_list = ["A dog.", "A car", "A bird"]
device = "cuda:0" if torch.cuda.is_available() else "cpu"
model = imagebind_model.imagebind_huge(pretrained=True)
model.eval()
model.to(device)
inputs = {
    ModalityType.TEXT: data.load_and_transform_text(text_list, device),
    ModalityType.VISION: data.load_and_transform_vision_data(image_paths, device),
    ModalityType.AUDIO: data.load_and_transform_audio_data(audio_paths, device),
}
with torch.no_grad():
    embeddings = model(inputs)
found = torch.softmax(embeddings[ModalityType.VISION] @ embeddings[ModalityType.TEXT].T, dim=-1)
"""
"""The calls of most public scripts."""


@pytest.fixture
def files(tmp_path: Path) -> dict[str, list[str]]:
    """An image and a recording."""
    image, sound = tmp_path / "gradient.png", tmp_path / "noise.wav"
    Image.linear_gradient("L").convert("RGB").save(image)
    noise = np.random.default_rng(0).normal(0, 0.1, 5 * 16_000)
    soundfile.write(sound, noise, 16_000)
    return {"image_paths": [str(image)], "audio_paths": [str(sound)]}


def test_script(installed: Install, small: openbind.Space, files: dict[str, list[str]]) -> None:
    """The usual script: vectors are those of the space, times its scales."""
    installed(small)
    names: dict[str, Any] = dict(files)
    exec(compile(SCRIPT, "script.py", "exec"), names)
    texts = small.encode("text", ["A dog.", "A car", "A bird"])
    images = small.encode("image", files["image_paths"])
    np.testing.assert_allclose(names["embeddings"]["text"].numpy(), 100 * texts, atol=1e-3)
    sound = names["embeddings"]["audio"].numpy()
    assert np.linalg.norm(sound) == pytest.approx(20, rel=0.05)  # a mean of clips
    logits = small.logits("image", images, "text", texts)
    expected = torch.softmax(torch.from_numpy(logits), dim=-1)
    torch.testing.assert_close(names["found"], expected, atol=1e-4, rtol=1e-3)


def test_audio_arguments(
    installed: Install, small: openbind.Space, files: dict[str, list[str]]
) -> None:
    """Those of the reference, by name; unknown ones of forks are ignored with a warning."""
    installed(small)
    data = importlib.import_module("imagebind.data")
    paths, images = files["audio_paths"], files["image_paths"]
    usual = data.load_and_transform_audio_data(paths, "cpu")
    assert torch.equal(usual, small.preprocess("audio", paths))
    changed = data.load_and_transform_audio_data(
        paths, "cpu", num_mel_bins=64, target_length=100, clip_duration=1, clips_per_video=2
    )
    assert changed.shape == (1, 2, 1, 64, 100)
    shifted = data.load_and_transform_audio_data(paths, "cpu", mean=0.0, std=1.0)
    torch.testing.assert_close((shifted + 4.268) / 9.138, usual)
    with pytest.warns(UserWarning, match="to_tensor"):
        found = data.load_and_transform_vision_data(images, "cpu", to_tensor=True)
    assert torch.equal(found, small.preprocess("image", images))
    assert data.load_and_transform_text(None, "cpu") is None


def test_videos(installed: Install, small: openbind.Space, tmp_path: Path) -> None:
    """Clips × crops, of the duration and number that are asked for."""
    av = pytest.importorskip("av", reason="the extra video isn't installed")
    path = tmp_path / "ramp.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in range(30):
            pixels = np.full((48, 64, 3), 8 * level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    installed(small)
    data = importlib.import_module("imagebind.data")
    found = data.load_and_transform_video_data([str(path)], "cpu")
    assert torch.equal(found, small.preprocess("video", [str(path)]))
    fewer = data.load_and_transform_video_data([path], "cpu", clip_duration=1, clips_per_video=2)
    assert fewer.shape == (1, 2 * 3, 3, 2, 224, 224)


def test_small_functions(installed: Install, files: dict[str, list[str]]) -> None:
    """Spectrograms, times of clips, and tokens."""
    installed("tiny")
    data = importlib.import_module("imagebind.data")
    samples_T, rate = soundfile.read(files["audio_paths"][0], dtype="float32")
    clip_CT = torch.from_numpy(samples_T)[None, : 2 * rate]
    mel_CFT = data.waveform2melspec(clip_CT, rate, 128, 204)
    first = data.load_and_transform_audio_data(files["audio_paths"], "cpu")[0, 0]
    torch.testing.assert_close((mel_CFT + 4.268) / 9.138, first, atol=1e-4, rtol=1e-4)

    def sampler(end: float, duration: float, annotation: None) -> tuple[Any, ...]:
        return end, end + 2, 0, 0, end + 2 >= duration

    assert data.get_clip_timepoints(sampler, 5) == [(0, 2), (2, 4), (4, 6)]
    preprocessors = importlib.import_module("imagebind.models.multimodal_preprocessors")
    tokenizer = preprocessors.SimpleTokenizer(bpe_path=data.BPE_PATH)
    ids = data.load_and_transform_text(["a dog"], "cpu")
    assert torch.equal(tokenizer("a dog"), ids[0])
    assert tokenizer(["a dog", "rain"], 16).shape == (2, 16)


def test_random_weights_of_a_name(installed: Install, capsys: pytest.CaptureFixture[str]) -> None:
    """Named architectures need no weights to preprocess, and random ones without `pretrained`."""
    installed("tiny")
    package = importlib.import_module("imagebind")
    assert package.data.load_and_transform_text(["x"], "cpu").shape == (1, 77)
    with pytest.raises(openbind.CheckpointError, match="random"):
        package.imagebind_model.imagebind_huge(pretrained=True)
    with pytest.warns(UserWarning, match="256"):
        model = package.imagebind_model.imagebind_huge()
    assert set(model.modality_trunks) == {MODALITIES.get(n).tower for n in MODALITIES.table}


def test_environment_names_a_space(
    installed: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The starter as a permissive stand-in: its own preprocessing, its license once."""
    monkeypatch.setenv(compat.VARIABLE, "starter")
    installed()
    package = importlib.import_module("imagebind")
    with pytest.warns(UserWarning, match="dimensions"):
        model = package.imagebind_model.imagebind_huge(pretrained=True)
    ids = package.data.load_and_transform_text(["a dog"], "cpu")
    assert float(model({"text": ids})["text"].detach().norm()) == pytest.approx(20, rel=1e-4)
    assert capsys.readouterr().err.count("Apache-2.0") == 1


def test_the_real_package_stays(
    installed: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package of that name is hidden only if asked to."""
    (tmp_path / "imagebind.py").write_text("real = True")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match="force=True"):
        installed("tiny")
    assert importlib.import_module("imagebind").real
    with pytest.raises(ImportError, match="force=True"):
        installed("tiny")
    installed("tiny", force=True)
    installed("tiny")  # again
    assert importlib.import_module("imagebind.data").BPE_PATH
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("imagebind.nothing")


def test_run_script(tmp_path: Path, files: dict[str, list[str]], warm: Warm) -> None:
    """`python -m openbind.compat.imagebind` runs an unchanged script with its arguments."""
    (tmp_path / "beside.py").write_text("greeting = 'hello'")
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, warnings, beside\nwarnings.simplefilter('ignore')\n"
        f"image_paths, audio_paths = {files['image_paths']}, [sys.argv[1]]\n{SCRIPT}\n"
        "print(beside.greeting, tuple(found.shape))"
    )
    command = [sys.executable, "-m", compat.__name__, str(script), files["audio_paths"][0]]
    environment = {**os.environ, compat.VARIABLE: "starter"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "hello (1, 3)\n", done.stderr
    bare = warm.run(f"import runpy; runpy.run_module({compat.__name__!r}, run_name='__main__')")
    assert bare.returncode == 1
    assert "usage" in bare.stderr


def test_lancedb(
    installed: Install, small: openbind.Space, files: dict[str, list[str]], tmp_path: Path
) -> None:
    """LanceDB's own entry embeds files and texts, into a table and as queries."""
    lancedb = pytest.importorskip("lancedb", reason="the extra index isn't installed")
    from lancedb.embeddings import get_registry
    from lancedb.pydantic import LanceModel, Vector

    installed(small)
    function = get_registry().get("imagebind").create(normalize=True)

    class Row(LanceModel):  # type: ignore[misc]
        path: str = function.SourceField()
        vector: Vector(function.ndims()) = function.VectorField()  # type: ignore[valid-type]

    table = lancedb.connect(tmp_path / "db").create_table("files", schema=Row)
    paths = [*files["image_paths"], files["image_paths"][0].replace("gradient", "black")]
    Image.new("RGB", (32, 32)).save(paths[1])
    table.add([{"path": path} for path in paths])
    (best,) = table.search(paths[1]).limit(1).to_list()
    assert best["path"] == paths[1]
    np.testing.assert_allclose(best["vector"], small.encode("image", paths[1]), atol=1e-5)
    (sound,) = function.compute_query_embeddings(files["audio_paths"][0])
    expected = small.encode("audio", files["audio_paths"][0])
    np.testing.assert_allclose(sound, expected, atol=1e-5)
    assert len(table.search("a dog").limit(1).to_list()) == 1


class Batches(list[Any]):
    """Batches as mteb's data loaders yield them."""

    dataset = SimpleNamespace(features=())


@pytest.mark.filterwarnings("ignore")  # of its libraries
def test_mteb(installed: Install, small: openbind.Space) -> None:
    """The wrapper of the reference that mteb has embeds texts, images and recordings."""
    for package in ("mteb", "torchvision", "torchaudio", "pytorchvideo"):
        try:
            importlib.import_module(package)
        except (ImportError, RuntimeError) as error:  # of builds for another torch
            pytest.skip(f"mteb's wrapper needs {package}: {error}")
    from mteb.models.model_implementations.imagebind_models import ImageBindWrapper

    installed(small)
    wrapper = ImageBindWrapper("facebook/imagebind-huge", "main", device="cpu")
    image = Image.linear_gradient("L").resize((224, 224)).convert("RGB")
    samples_T = np.random.default_rng(0).normal(0, 0.1, 80_000).astype(np.float32)
    recording = {"array": samples_T, "sampling_rate": 16_000}
    options = {"task_metadata": None, "hf_split": "test", "hf_subset": "default"}
    for modality, item in (("text", "a dog"), ("image", image), ("audio", recording)):
        found = wrapper.encode(Batches([{modality: [item]}]), **options)
        cosine = small.similarity(np.asarray(found), small.encode(modality, item))
        assert float(cosine[0, 0]) > 0.999, modality

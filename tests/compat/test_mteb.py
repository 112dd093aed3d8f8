"""mteb's own tasks of images, sounds and video run over a space, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

import openbind

mteb = pytest.importorskip("mteb", reason="mteb isn't installed: pip install 'openbind[mteb]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # of mteb itself

from datasets import Audio, Dataset, DatasetDict, Video  # noqa: E402
from datasets import Image as ImageFeature  # noqa: E402
from mteb.abstasks import AbsTaskZeroShotClassification  # noqa: E402
from mteb.abstasks.task_metadata import TaskMetadata  # noqa: E402

from openbind.compat.mteb import Encoder  # noqa: E402

CONCEPTS = ["dog", "rooster", "rain"]
KINDS = {
    "image": ("ZeroShotClassification", ImageFeature),
    "audio": ("AudioZeroshotClassification", Audio),
    "video": ("VideoZeroshotClassification", Video),
}
"""Modality → what mteb calls the task, and the feature of its data sets."""


def make_task(modality: str, items: list[Any], concepts: list[str], feature: Any = None) -> Any:
    """Return a task of naming items, in mteb's format."""

    class Named(AbsTaskZeroShotClassification):  # type: ignore[misc]
        metadata = TaskMetadata(
            name=f"Named{modality}",
            description="Name samples.",
            reference=None,
            dataset={"path": "made/up", "revision": "1"},
            type=KINDS[modality][0],
            category=f"{modality[0]}2t",
            modalities=[modality, "text"],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="accuracy",
            date=("2026-01-01", "2026-01-02"),
            domains=["Web"],
            task_subtypes=[],
            license="cc0-1.0",
            annotations_creators="derived",
            dialect=[],
            sample_creation="found",
            bibtex_citation="",
        )
        input_column_name = modality
        label_column_name = "label"

        def load_data(self, **options: Any) -> None:
            data = Dataset.from_dict({modality: items, "label": list(range(len(items)))})
            if feature is not None:
                data = data.cast_column(modality, feature)
            self.dataset = DatasetDict({"test": data})
            self.data_loaded = True

        def get_candidate_labels(self) -> list[str]:
            return concepts

    return Named()


def score(model: Any, task: Any) -> float:
    result = mteb.evaluate(model, task, cache=None, show_progress_bar=False)
    return float(result.task_results[0].get_score())


@pytest.fixture(scope="module")
def found(samples: Path, sample_items: Any) -> dict[str, list[str]]:
    """Files of the concepts that ship, by modality; videos that show the images."""
    paths = {(item.modality, item.concept): str(samples / item.path) for item in sample_items}
    return {m: [paths[m, concept] for concept in CONCEPTS] for m in ("image", "audio")}


@pytest.mark.slow
@pytest.mark.parametrize("modality", KINDS)
def test_files(
    starter: openbind.Space, found: dict[str, list[str]], tmp_path: Path, modality: str
) -> None:
    """A task as those of MIEB, MAEB and MVEB; openbind decodes the files of its data set."""
    if modality == "video":
        paths = [write_video(tmp_path / f"{Path(p).stem}.mp4", p) for p in found["image"]]
    else:
        paths = found[modality]
    task = make_task(modality, paths, CONCEPTS, KINDS[modality][1]())
    encoder = Encoder(starter)
    assert score(encoder, task) == 1.0
    assert encoder.mteb_model_meta.name == "openbind/starter"
    assert encoder.mteb_model_meta.embed_dim == starter.dim


@pytest.mark.slow
def test_arrays(starter: openbind.Space, found: dict[str, list[str]]) -> None:
    """Data sets may hold samples, or frames with their rate."""
    sounds = []
    for path in found["audio"]:
        samples_T, rate = soundfile.read(path, dtype="float32")
        sounds.append({"array": samples_T, "sampling_rate": rate})
    assert score(Encoder(starter), make_task("audio", sounds, CONCEPTS)) == 1.0
    frames = [np.asarray(Image.open(p).convert("RGB").resize((64, 64))) for p in found["image"]]
    videos = [{"array": np.stack([frame] * 4), "fps": 2.0} for frame in frames]
    expected = starter.encode("video", [(each["array"], each["fps"]) for each in videos])
    loader = type("Loader", (), {"dataset": Dataset.from_dict({"video": videos})})()
    options: dict[str, Any] = {"task_metadata": None, "hf_split": "", "hf_subset": ""}
    np.testing.assert_allclose(Encoder(starter).encode(loader, **options), expected, atol=1e-5)
    both = Dataset.from_dict({"text": ["a dog", "rain"], "video": [videos[0], None]})
    loader = type("Loader", (), {"dataset": both})()
    summed = Encoder(starter).encode(loader, **options)
    texts = starter.encode("text", ["a dog", "rain"])
    wanted = openbind.combine([(texts[0], 1.0), (expected[0], 1.0)])
    np.testing.assert_allclose(summed, [wanted, texts[1]], atol=1e-5)


@pytest.mark.slow
def test_sentence_transformer(starter: openbind.Space, found: dict[str, list[str]]) -> None:
    """Mteb runs the module of sentence-transformers, too; for sounds it needs torchaudio."""
    library = pytest.importorskip("sentence_transformers", reason="the extra st isn't installed")
    from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper

    from openbind.compat.sentence_transformers import OpenBind

    model = library.SentenceTransformer(modules=[OpenBind(starter)], device="cpu")
    wrapped = SentenceTransformerEncoderWrapper(model)
    about = {"name": "openbind/starter", "revision": "1", "modalities": ["text", "image", "audio"]}
    wrapped.mteb_model_meta = wrapped.mteb_model_meta.model_copy(update=about)
    images = [Image.open(path).convert("RGB") for path in found["image"]]
    assert score(wrapped, make_task("image", images, CONCEPTS)) == 1.0
    try:
        import torchaudio  # noqa: F401
    except (ImportError, OSError) as error:
        pytest.skip(f"mteb's wrapper of sentence-transformers needs torchaudio: {error}")
    sounds = []
    for path in found["audio"]:
        samples_T, rate = soundfile.read(path, dtype="float32")
        sounds.append({"array": samples_T, "sampling_rate": rate})
    assert score(wrapped, make_task("audio", sounds, CONCEPTS)) == 1.0


def test_unknown_modality(small: openbind.Space) -> None:
    """A data set without any modality of the space is an error that names both."""
    loader = type("Loader", (), {"dataset": Dataset.from_dict({"label": [1]})})()
    with pytest.raises(openbind.InputError, match="text"):
        Encoder(small).encode(loader, task_metadata=None, hf_split="", hf_subset="")


def write_video(path: Path, image: str) -> str:
    """Write two seconds of an image as an MPEG-4 file; return its path."""
    import av

    pixels = np.asarray(Image.open(image).convert("RGB").resize((256, 256)))
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=4, width=256, height=256, pix_fmt="yuv420p")
        stream.bit_rate = 4_000_000
        for _ in range(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode(None))
    return str(path)

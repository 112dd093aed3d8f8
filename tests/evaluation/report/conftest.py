"""A small collection with one file of every modality, and its report."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

import openbind
from openbind.evaluation.builtin import BuiltIn
from openbind.evaluation.collection import CollectionItem, Credit, EmbeddedItems
from openbind.evaluation.emergence import find_trained_pairs, measure_emergence
from openbind.evaluation.report.composition import compose_report
from openbind.evaluation.report.contents import Report
from openbind.evaluation.results import Confusion, Published, Score, SuiteResult

MODALITIES = ("image", "video", "text", "audio", "thermal", "imu")
LABELS = ("dog", "cat", "bird")


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Modality → a file of it."""
    folder = tmp_path_factory.mktemp("media")
    generator = np.random.default_rng(0)
    paths = {
        "image": folder / "red.png",
        "video": folder / "video.mp4",
        "audio": folder / "noise.wav",
        "thermal": folder / "map.npy",
        "imu": folder / "motion.csv",
    }
    Image.new("RGB", (400, 200), "red").save(paths["image"])
    soundfile.write(paths["audio"], 0.1 * generator.normal(size=8000), 16000)
    np.save(paths["thermal"], np.linspace(0, 5, 60 * 80, dtype=np.float32).reshape(60, 80))
    rows = np.c_[np.arange(100) / 50, generator.normal(size=(100, 6))]
    names = "seconds,ax,ay,az,gx,gy,gz"
    np.savetxt(paths["imu"], rows, delimiter=",", header=names, comments="", fmt="%.3f")
    with av.open(str(paths["video"]), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 50 * number, np.uint8), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 5)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return paths


@pytest.fixture(scope="session")
def embedded(media: dict[str, Path]) -> list[EmbeddedItems]:
    """Four items of every modality that share three directions; images and maps share scenes."""
    generator = np.random.default_rng(1)
    directions_LE = generator.normal(size=(len(LABELS), 16))
    found = []
    for modality in MODALITIES:
        labels = (*LABELS, LABELS[0])
        rows_NE = np.stack([directions_LE[LABELS.index(label)] for label in labels])
        rows_NE = rows_NE + 0.3 * generator.normal(size=rows_NE.shape) + generator.normal(size=16)
        items = tuple(
            CollectionItem(
                title=f"{modality} {number} of a {label}",
                path=None if modality == "text" else media[modality],
                label=label,
                pair=f"scene {number}" if modality in ("image", "thermal") else "",
                set="made",
                credit=Credit(author="us", license="CC0-1.0", source="noise"),
            )
            for number, label in enumerate(labels)
        )
        unit_NE = (rows_NE / np.linalg.norm(rows_NE, axis=1, keepdims=True)).astype(np.float32)
        found.append(EmbeddedItems(modality=modality, items=items, vectors_NE=unit_NE))
    return found


@pytest.fixture(scope="session")
def results() -> list[SuiteResult]:
    """Results of two spaces on a suite, with everything that a report shows of them."""
    accuracy = Score(
        task="ESC-50", metric="accuracy", value=0.4, chance=0.02, interval=(0.35, 0.45), count=400
    )
    rank = Score(task="search", metric="median rank", value=7, chance=50, count=100)
    published = Published(task="ESC-50", metric="accuracy", value=0.669, where="a paper, table 2")
    confusion = Confusion(
        task="ESC-50",
        modality="audio",
        classes=("rain", "sea"),
        counts_KK=np.array([[3, 1], [0, 4]]),
    )
    return [
        SuiteResult(
            suite="esc50",
            space=space,
            scores=scores,
            published=(published,),
            excluded={"/data/broken.wav": "truncated"},
            overlaps=("ESC-10",) if space == "ours" else (),
            skipped={"probe": "no items to train on"} if space == "ours" else {},
            confusions=(confusion,),
        )
        for space, scores in (("ours", (accuracy, rank)), ("theirs", (accuracy,)))
    ]


@pytest.fixture(scope="session")
def measured(starter: openbind.Space, embedded: list[EmbeddedItems]) -> BuiltIn:
    """The collection with its alignment."""
    cells = measure_emergence(embedded, find_trained_pairs(starter), np.random.default_rng(0))
    return BuiltIn(embedded=tuple(embedded), results=(), cells=cells)


@pytest.fixture(scope="session")
def report(starter: openbind.Space, measured: BuiltIn, results: list[SuiteResult]) -> Report:
    """The collection's, with the starter's card."""
    return compose_report(
        starter, measured, results, title="A <small> report", warnings=["made up"], seed=3
    )

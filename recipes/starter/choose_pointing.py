"""Choose how images are located in, on photographs and sounds that no reported number touches.

    python recipes/starter/choose_pointing.py --data DATA --work SCRATCH

after build.py. Mosaics of 2 × 2 photographs that aren't in the test part are asked for what they
show, by name and by sounds of folds 1 to 3, each heard by a head that learned the other two. Prints
how often the hottest point is right and the AUC of rejection, by size, by aspect, and for sounds
that are named first.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sounds
import torch
from pairs import read_class_names
from photographs import read_photographs
from PIL import Image
from safetensors.torch import load_file
from validate_pointing import FOLD, SETS, THINGS, forget_folds, name_thing, read_targets

import openbind
from openbind.evaluation.metrics import fraction_interval
from openbind.evaluation.tasks.mosaics import area_under_curve
from openbind.localisation.heat import Dense, score_cells
from openbind.model.backbones.aisfx import AiSFX
from openbind.signal.resize import normalize
from openbind.space.locating import read_dense

COUNT = 60
"""Mosaics."""
SIDE = 300
"""Pixels of a photograph's width in a mosaic."""
SIZES = (260, 385, 449, 481, 513)
ASPECTS = ((481, 481), (545, 417), (673, 353))
"""Width and height with nearly the same number of pixels, odd before each stride."""
FOLDS = (1, 2, 3)
"""Of the sounds; the next one's numbers are reported."""


@dataclass(frozen=True, kw_only=True)
class Queries:
    """Vectors of one modality.

    Args:
        vectors_NE: unit vectors.
        labels: what each is of, a key of `THINGS`.
    """

    vectors_NE: np.ndarray
    labels: Sequence[str]

    def pick(self, wanted: set[str], rng: np.random.Generator) -> np.ndarray:
        """Return the vector of a random query of one of the things."""
        rows = [row for row, label in enumerate(self.labels) if label in wanted]
        return np.asarray(self.vectors_NE[rng.choice(rows)])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("data", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    space = openbind.load("starter", dtype="float32")
    shown = [
        (photograph.path, label)
        for photograph in read_photographs(options.data)
        if photograph.set in SETS and not photograph.tested and (label := name_thing(photograph))
    ]
    heard, names = hear(space, options.data, options.work)
    words_NE = space.encode("text", [text for text, _ in THINGS.values()])
    queries = {"text": Queries(vectors_NE=words_NE, labels=list(THINGS)), "sound": heard}
    for size in SIZES:
        measure(space, shown, queries, (1, 1), {f"{size} pixels": (size, size)})
    for aspect in ASPECTS[1:]:
        measure(space, shown, queries, aspect, {"squashed": ASPECTS[0], "kept": aspect})
    for about, found in (
        (f"{len(names)} names of sounds", names),
        ("names of ImageNet's classes", read_class_names(options.work)),
    ):
        moved = name_first(heard.vectors_NE, space.encode("text", found))
        queries = {f"sound, towards {about}": Queries(vectors_NE=moved, labels=heard.labels)}
        measure(space, shown, queries, (1, 1), {"481 pixels": ASPECTS[0]})


def hear(space: openbind.Space, data: Path, work: Path) -> tuple[Queries, list[str]]:
    """Embed sounds of the things, each by a head that hasn't heard its fold; return all names."""
    found, tower = sounds.read_recordings(data), space.towers["audio"]
    assert isinstance(tower, AiSFX)
    clean = sounds.Heard(**load_file(work / "audio_features.safetensors"))
    target_KE = read_targets(space, data, work)
    vectors, labels = list[torch.Tensor](), list[str]()
    for fold in FOLDS:
        learned = forget_folds(tower, target_KE, data, work, (fold, FOLD))
        vectors_NE = sounds.embed_recordings(learned, clean, len(found))
        for vector_E, recording in zip(vectors_NE, found, strict=True):
            if recording.fold == fold and recording.label in THINGS:
                vectors.append(vector_E)
                labels.append(recording.label)
    return Queries(vectors_NE=torch.stack(vectors).numpy(), labels=labels), sounds.labels_of(found)[
        0
    ]


def name_first(
    vectors_NE: np.ndarray, names_KE: np.ndarray, temperature: float = 0.05, kept: float = 0.5
) -> np.ndarray:
    """Move vectors towards the mean of the nearest names; `kept` is the vector's own share."""
    weight_NK = np.exp((vectors_NE @ names_KE.T) / temperature)
    named_NE = weight_NK @ names_KE
    named_NE /= np.linalg.norm(named_NE, axis=1, keepdims=True)
    mixed_NE = (1 - kept) * named_NE + kept * vectors_NE
    return np.asarray(mixed_NE / np.linalg.norm(mixed_NE, axis=1, keepdims=True))


def measure(
    space: openbind.Space,
    shown: Sequence[tuple[Path, str]],
    queries: Mapping[str, Queries],
    aspect: tuple[int, int],
    sizes: Mapping[str, tuple[int, int]],
) -> None:
    """Print what queries find in the same mosaics in different sizes.

    Args:
        space: with the image tower.
        shown: photographs and what they show.
        queries: by what they are called.
        aspect: of the mosaics, width to height.
        sizes: width and height in which the tower sees them, by what they are called.
    """
    for kind, own in queries.items():
        for called, size in sizes.items():
            right, present, absent = zip(*point(space, shown, own, aspect, size), strict=True)
            share = float(np.mean(right))
            low, high = fraction_interval(share, len(right))
            auc = area_under_curve(np.array(present), np.array(absent))
            print(
                f"{kind}, {aspect[0] / aspect[1]:.2f} : 1, {called}: pointing {share:.3f} "
                f"({low:.3f}-{high:.3f}), AUC {auc:.3f}, {len(right)} queries",
                flush=True,
            )


def point(
    space: openbind.Space,
    shown: Sequence[tuple[Path, str]],
    queries: Queries,
    aspect: tuple[int, int],
    size: tuple[int, int],
) -> Iterator[tuple[bool, float, float]]:
    """Yield for each query whether it points right, and its margin beside one of something else."""
    rng, tower = np.random.default_rng(0), space.towers["vision"]
    settings = space.config.modalities["image"].settings
    backgrounds = read_dense(space, "image", shown[0][0], plain=False).backgrounds()
    assert isinstance(tower, Dense)
    assert backgrounds is not None
    for _ in range(COUNT):
        labels = rng.permutation(sorted({label for _, label in shown}))[:4].tolist()
        mosaic = compose([pick(shown, label, rng) for label in labels], aspect)
        shown_size = mosaic.resize(size, Image.Resampling.BICUBIC)
        with torch.no_grad():
            clip_CHW = torch.from_numpy(normalize(shown_size, settings.mean, settings.std))
            cells_HWE = tower.cells(clip_CHW[None])[0]
        for place, label in enumerate(labels):
            vectors = [queries.pick(w, rng) for w in ({label}, THINGS.keys() - set(labels))]
            heats = [score_cells(cells_HWE, vector_E) for vector_E in vectors]
            rows, columns = heats[0].shape
            row, column = divmod(int(heats[0].argmax()), columns)
            margins = [
                float(heat.max()) - backgrounds.threshold(vector_E)
                for heat, vector_E in zip(heats, vectors, strict=True)
            ]
            yield 2 * row // rows * 2 + 2 * column // columns == place, margins[0], margins[1]


def pick(shown: Sequence[tuple[Path, str]], label: str, rng: np.random.Generator) -> Path:
    """Return a random photograph of a thing."""
    paths = [path for path, own in shown if own == label]
    return paths[int(rng.integers(len(paths)))]


def compose(paths: Sequence[Path], aspect: tuple[int, int]) -> Image.Image:
    """Return a mosaic of the middle parts of an aspect of four images."""
    width, height = SIDE, round(SIDE * aspect[1] / aspect[0])
    mosaic = Image.new("RGB", (2 * width, 2 * height))
    for place, path in enumerate(paths):
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        scale = min(image.width / width, image.height / height)
        left, top = (
            max(0.0, (whole - scale * part) / 2)
            for whole, part in zip(image.size, (width, height), strict=True)
        )
        box = (left, top, image.width - left, image.height - top)
        tile = image.resize((width, height), Image.Resampling.BICUBIC, box)
        mosaic.paste(tile, (place % 2 * width, place // 2 * height))
    return mosaic


if __name__ == "__main__":
    main()

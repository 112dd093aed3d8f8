"""Numbers on what was held out: pictures by their words, sounds by words and by pictures."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pairs import Picture
from torch.nn import functional as F

import openbind

# What a user would call ESC-10's classes, in three ways; words are for measuring alone.
SOUND_WORDS: dict[str, tuple[str, str, str]] = {
    "baby_cry": ("baby cry", "crying baby", "the sound of a baby crying"),
    "chainsaw": ("chainsaw", "chainsaw", "the sound of a chainsaw"),
    "clock_tick": ("clock tick", "clock tick", "the sound of a clock ticking"),
    "dog_bark": ("dog", "dog bark", "the sound of a dog"),
    "fire_crackling": ("fire crackling", "crackling fire", "the sound of a crackling fire"),
    "helicopter": ("helicopter", "helicopter", "the sound of a helicopter"),
    "person_sneeze": ("person sneeze", "sneezing", "the sound of a person sneezing"),
    "rain": ("rain", "rain", "the sound of rain"),
    "rooster": ("rooster", "rooster", "the sound of a rooster"),
    "sea_waves": ("sea waves", "sea waves", "the sound of sea waves"),
}


def is_held_out(picture: Picture) -> bool:
    """Say whether a picture is for measuring: every stamp, and a tenth of the emoji by name."""
    tenth = zlib.crc32(picture.name.lower().encode()) % 10 == 0
    return picture.source == "stamps" or (picture.source == "emoji" and tenth)


def measure_pictures(
    pictures: Sequence[Picture],
    embed_KSE: torch.Tensor,
    embedding: dict[str, torch.Tensor],
    center_E: torch.Tensor,
) -> dict[str, float]:
    """Find each held-out picture's own name among all names of its source.

    Returns:
        recall at 1 and 10 for each source and for whole and tiny pictures, and the chance level.
    """
    numbers = {}
    for source in ("emoji", "stamps"):
        names = sorted({picture.name for picture in pictures if picture.source == source})
        texts_QE = F.normalize(torch.stack([embedding[name] for name in names]) - center_E, dim=1)
        held = [i for i, p in enumerate(pictures) if p.source == source and is_held_out(p)]
        own = torch.tensor([names.index(pictures[i].name) for i in held])
        for view, kind in ((0, "whole"), (2, "tiny")):
            score_KQ = F.normalize(embed_KSE[held, view], dim=1) @ texts_QE.T
            better_K = (score_KQ > score_KQ.gather(1, own[:, None])).sum(1)
            for rank in (1, 10):
                recall = float((better_K < rank).float().mean())
                numbers[f"{source}, {kind}: recall@{rank} of {len(names)} names"] = recall
        numbers[f"{source}: chance of recall@1"] = 1 / len(names)
    return numbers


def measure_fold(space: openbind.Space, work: Path, manifest: Path, fold: int) -> dict[str, float]:
    """Classify a fold's sounds by words, three ways of naming, and by each class's mean picture.

    Args:
        space: trained without that fold.
        work: folder of the manifest and of what it names.
        manifest: that `sounds.write_manifests` wrote for the classes.
    """
    rows = [json.loads(line) for line in (work / manifest).read_text(encoding="utf-8").splitlines()]
    names = sorted(SOUND_WORDS)
    pictures = {row["label"]: row for row in rows}
    rows = [row for row in rows if row["split"] == str(fold)]
    sound_BE = space.encode("audio", [row["audio"] for row in rows])
    own_B = np.array([names.index(row["label"]) for row in rows])
    numbers = {"sounds: chance": 1 / len(names)}
    for way, name in enumerate(("class name", "other name", "the sound of")):
        words_KE = space.encode("text", [SOUND_WORDS[label][way] for label in names])
        right_B = (sound_BE @ words_KE.T).argmax(1) == own_B
        numbers[f"sound → word, {name}: accuracy"] = float(right_B.mean())
    means = [mean_picture(pictures[label], work) for label in names]
    right_B = (sound_BE @ np.stack(means).T).argmax(1) == own_B
    numbers["sound → picture of the class: accuracy"] = float(right_B.mean())
    return numbers


def mean_picture(row: dict[str, Any], work: Path) -> NDArray[np.float32]:
    """Return the mean of the pictures (E,) that a line of the manifest pairs with its sound."""
    cells = [cell.partition("#") for cell in row["image.vector"]]
    mean_E = np.mean([np.load(work / path, mmap_mode="r")[int(k)] for path, _, k in cells], axis=0)
    return np.asarray(mean_E / np.linalg.norm(mean_E), np.float32)

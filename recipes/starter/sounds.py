"""Bind audio to the names of its classes, and to images found by captions and by content.

The head is a ridge regression from frozen features, in closed form. Every class has the same
weight, however many recordings it has.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from tqdm import tqdm
from train_image_text import solve_ridge

from openbind.media.audio import read_audio
from openbind.modalities.audio import AudioSettings, mix, prepare
from openbind.model.backbones.aisfx import AiSFX
from openbind.signal.resample import resample

RATES_HZ = (8000, 11025, 16000)
"""Of the degraded copies."""
ESC10_NAMES = {
    "baby_cry": "crying baby",
    "chainsaw": "chainsaw",
    "clock_tick": "clock tick",
    "dog_bark": "dog",
    "fire_crackling": "crackling fire",
    "helicopter": "helicopter",
    "person_sneeze": "sneezing",
    "rain": "rain",
    "rooster": "rooster",
    "sea_waves": "sea waves",
}
"""ESC-10's folders → names of the classes as ESC-50 calls them."""


@dataclass(frozen=True, kw_only=True)
class SoundRecipe:
    """Settings, chosen on fold 4 and on classes left out of training.

    Args:
        ridge: added to the diagonal of the features' correlation.
        degraded: weight of the degraded copies.
    """

    ridge: float = 0.5
    degraded: float = 0.7


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A labeled recording.

    Args:
        path: of the file.
        label: name of its class.
        freesound_id: of the recording it was cut from; recordings of one id stay together.
        fold: of ESC-50; 0 elsewhere.
    """

    path: Path
    label: str
    freesound_id: str
    fold: int = 0


@dataclass(frozen=True, kw_only=True)
class Heard:
    """Features of recordings' clips.

    Args:
        features_BD: of every clip.
        owner_B: row of its recording.
    """

    features_BD: torch.Tensor
    owner_B: torch.Tensor

    def of(self, kept_N: torch.Tensor) -> Heard:
        """Return the clips of some recordings, with the rows of all."""
        kept_B = kept_N[self.owner_B]
        return Heard(features_BD=self.features_BD[kept_B], owner_B=self.owner_B[kept_B])


def read_recordings(data: Path) -> list[Recording]:
    """List all recordings; of one that is in two sets, the first."""
    found: dict[str, Recording] = {}
    for name in ("esc50", "instruments"):
        with (data / name / "items.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                path = data / name / row["audio"]
                found[path.stem] = Recording(
                    path=path,
                    label=row["label"].lower(),
                    freesound_id=row["freesound_id"],
                    fold=int(row.get("fold") or 0),
                )
    for folder, label in ESC10_NAMES.items():
        for path in sorted((data / "esc10" / folder).glob("*.ogg")):
            fold, freesound_id = path.stem.split("-")[:2]
            recording = Recording(path=path, label=label, freesound_id=freesound_id, fold=int(fold))
            found.setdefault(path.stem, recording)
    return list(found.values())


def audio_features(
    tower: AiSFX,
    recordings: Sequence[Recording],
    settings: AudioSettings,
    work: Path,
    degraded: bool = False,
) -> Heard:
    """Return the features of all clips; cached in the work folder."""
    kept = work / f"audio_features{'_degraded' if degraded else ''}.safetensors"
    if not kept.exists():
        preprocess, rows, owners = prepare(settings, None), [], []
        with torch.no_grad():
            for row, recording in enumerate(tqdm(recordings, desc="audio", disable=None)):
                item = degrade(recording.path) if degraded else recording.path
                rows.append(tower.features(preprocess(item).clips))
                owners += [row] * len(rows[-1])
        save_file({"features_BD": torch.cat(rows), "owner_B": torch.tensor(owners)}, kept)
    found = load_file(kept)
    if int(found["owner_B"].max()) + 1 != len(recordings):
        raise RuntimeError(f"{kept} is of other recordings; delete it")
    return Heard(**found)


def degrade(path: Path) -> tuple[np.ndarray, int]:
    """Return (samples_CT, rate) cut shorter, at a low rate, louder or softer, and with noise.

    Randomness depends only on the file's name.
    """
    chance, audio = np.random.default_rng(zlib.crc32(path.name.encode())), read_audio(path)
    samples_CT, rate_hz = mix(torch.from_numpy(audio.samples_CT)), audio.rate_hz
    total = samples_CT.shape[1]
    start, end = (int(chance.integers(0, total // 8 + 1)) for _ in range(2))
    samples_CT = samples_CT[:, start : total - end]
    if chance.random() < 0.5:
        low_hz = int(chance.choice(RATES_HZ))
        samples_CT, rate_hz = resample(samples_CT, rate_hz, low_hz), low_hz
    samples_CT = samples_CT * 10 ** (chance.uniform(-18, 6) / 20)
    if chance.random() < 0.6:
        level = float(samples_CT.square().mean().sqrt()) * 10 ** (-chance.uniform(10, 35) / 20)
        noise_CT = torch.from_numpy(chance.normal(size=samples_CT.shape)).float()
        samples_CT = samples_CT + level * noise_CT
    return samples_CT.clamp(-1, 1).numpy(), rate_hz


def learn_audio_head(
    tower: AiSFX,
    clean: Heard,
    degraded: Heard,
    class_N: torch.Tensor,
    target_KE: torch.Tensor,
    recipe: SoundRecipe,
) -> None:
    """Set the tower's head.

    Args:
        tower: a converted backbone.
        clean, degraded: clips of the recordings that are heard.
        class_N: class of every recording.
        target_KE: of each class (`targets.make_targets`).
        recipe: the settings.
    """
    heard_BK = F.one_hot(class_N[clean.owner_B], len(target_KE))
    class_weight_K = 1 / heard_BK.sum(0).clamp_min(1)
    parts = ((clean, 1.0), (degraded, recipe.degraded))
    features_BD = torch.cat([part.features_BD for part, _ in parts])
    class_B = torch.cat([class_N[part.owner_B] for part, _ in parts])
    weight_B1 = torch.cat(
        [weight * class_weight_K[class_N[part.owner_B]] for part, weight in parts]
    )[:, None]
    weight_B1 = weight_B1 / weight_B1.sum()
    mean_D = (features_BD * weight_B1).sum(0)
    std_D = ((features_BD - mean_D).square() * weight_B1).sum(0).sqrt() + 1e-4
    standard_BD = (features_BD - mean_D) / std_D
    weight_DE = solve_ridge(standard_BD, target_KE[class_B], weight_B1, recipe.ridge)
    weight_ED = weight_DE.T / std_D
    with torch.no_grad():
        tower.head.weight.copy_(weight_ED)
        tower.head.bias.copy_(-weight_ED @ mean_D)


def embed_recordings(tower: AiSFX, heard: Heard, count: int) -> torch.Tensor:
    """Return unit embeddings (count, E): the mean of each recording's clips, zero without clips."""
    with torch.no_grad():
        clip_BE = F.normalize(tower.head(heard.features_BD), dim=1)
    sum_NE = torch.zeros(count, clip_BE.shape[1]).index_add_(0, heard.owner_B, clip_BE)
    return F.normalize(sum_NE, dim=1)


def labels_of(recordings: Sequence[Recording]) -> tuple[list[str], torch.Tensor]:
    """Return the names of all classes, and class_N."""
    names = sorted({recording.label for recording in recordings})
    places: Mapping[str, int] = {name: place for place, name in enumerate(names)}
    return names, torch.tensor([places[recording.label] for recording in recordings])

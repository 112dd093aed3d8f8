"""Bind audio to the names of its classes, and to images found by captions and by content.

The head is a classifier's mixture of class vectors and a ridge regression from frozen features
(`audio.yaml`). Every class has the same weight, however many recordings it has.
"""

from __future__ import annotations

import csv
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from held_out import held_out_clips
from manifests import write_lines
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from tqdm import tqdm

from openbind.media.audio import read_audio
from openbind.modalities.audio import mix, prepare
from openbind.modalities.audio_settings import AudioSettings
from openbind.model.backbones.aisfx import AiSFX
from openbind.model.class_mixture import MixtureConfig
from openbind.signal.resample import resample
from openbind.training.class_mixture import MixturePlan
from openbind.training.heads import HeadNet, HeadPlan, fold_head

SOUNDS, TARGETS = Path("sounds/sounds.jsonl"), Path("sounds/targets.npy")
PLAN = HeadPlan(standardize=True, ridge=0.5, center=1.0, mixture=MixturePlan())
"""As in `audio.yaml`, whose head is trained here on parts of the data."""
TEMPERATURE = 1.5
"""Of the mixture's probabilities, as in `audio.yaml`."""
DEGRADED = 0.7
"""Weight of the degraded copies."""
COPIES_SEED = 4208232190
"""Of the degraded copies; with it they are those that the shipped head was trained on."""
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
class Recording:
    """A labeled recording.

    Args:
        path: of the file.
        label: name of its class.
        freesound_id: of the recording it was cut from; recordings of one id stay together.
        fold: of ESC-50; 0 elsewhere.
        held_out: whether it, or another clip of its recording, ships in a held-out set.
    """

    path: Path
    label: str
    freesound_id: str
    fold: int = 0
    held_out: bool = False


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
    ids = {found[name].freesound_id for name in held_out_clips() if name in found}
    return [replace(r, held_out=r.freesound_id in ids) for r in found.values()]


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

    Randomness depends only on the names of the file and of the two folders it is in.
    """
    place = "/".join(path.parts[-3:])
    chance = np.random.default_rng(zlib.crc32(place.encode(), COPIES_SEED))
    audio = read_audio(path)
    samples_CT, rate_hz = mix(torch.from_numpy(audio.samples_CT)), audio.rate_hz
    total = samples_CT.shape[1]
    start, end = (int(chance.integers(0, total // 8 + 1)) for _ in range(2))
    samples_CT = samples_CT[:, start : total - end]
    if chance.random() < 0.5:
        low_hz = int(chance.choice(RATES_HZ))
        samples_CT, rate_hz = resample(samples_CT, rate_hz, low_hz), low_hz
    samples_CT = samples_CT * 10 ** (chance.uniform(-18, 6) / 20)
    if chance.random() < 0.6:
        noise_CT = torch.from_numpy(chance.normal(size=samples_CT.shape)).float()
        level = float(samples_CT.square().mean().sqrt()) * 10 ** (-chance.uniform(10, 35) / 20)
        samples_CT = samples_CT + level * noise_CT
    return samples_CT.clamp(-1, 1).numpy(), rate_hz


def write_sounds(
    work: Path, recordings: Sequence[Recording], clean: Heard, target_NE: torch.Tensor
) -> None:
    """Write the manifest of `audio.yaml`, the targets, and the degraded copies.

    Args:
        work: the folder.
        recordings: N; those that ship in a held-out set aren't learned from.
        clean: their clips.
        target_NE: what each is to be embedded as.
    """
    heard_N = torch.tensor([not recording.held_out for recording in recordings])
    weights = class_weights(labels_of(recordings)[1], clean.of(heard_N)).tolist()
    (work / SOUNDS).parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for row, recording in enumerate(recordings):
        if recording.held_out:
            continue
        copy = SOUNDS.parent / f"{row:04}.wav"
        samples_CT, rate_hz = degrade(recording.path)
        soundfile.write(work / copy, samples_CT.T, rate_hz, subtype="FLOAT")
        known = {"text.vector": f"{TARGETS}#{row}", "label": recording.label}
        for path, weight in ((recording.path.resolve(), 1.0), (copy, DEGRADED)):
            lines.append({"audio": str(path), **known, "weight": weight * weights[row]})
    np.save(work / TARGETS, target_NE.numpy())
    write_lines(work / SOUNDS, lines)


def class_weights(class_N: torch.Tensor, clean: Heard) -> torch.Tensor:
    """Return weight_N: one over the number of clips that are heard of each recording's class."""
    count_K = torch.bincount(class_N[clean.owner_B], minlength=int(class_N.max()) + 1)
    return 1 / count_K.clamp_min(1)[class_N]


def learn_audio_head(
    tower: AiSFX,
    clean: Heard,
    degraded: Heard,
    class_N: torch.Tensor,
    target_KE: torch.Tensor,
    plan: HeadPlan = PLAN,
    temperature: float = TEMPERATURE,
) -> AiSFX:
    """Return the tower with a head as `audio.yaml` trains it, from features.

    Args:
        tower: a converted backbone.
        clean, degraded: clips of the recordings that are heard.
        class_N: class of every recording.
        target_KE: of each class (`targets.make_targets`).
        plan: of the head.
        temperature: of the mixture's probabilities.
    """
    classes = len(class_N[clean.owner_B].unique())
    mixture = MixtureConfig(classes=classes, temperature=temperature) if plan.mixture else None
    owner_B = torch.cat([clean.owner_B, degraded.owner_B])
    features_BD = torch.cat([clean.features_BD, degraded.features_BD])
    weight_N = class_weights(class_N, clean)
    weight_B = torch.cat([weight_N[clean.owner_B], DEGRADED * weight_N[degraded.owner_B]])
    learned = AiSFX(replace(tower.config, embed_dim=target_KE.shape[1], mixture=mixture)).eval()
    learned.blocks.load_state_dict(tower.blocks.state_dict())
    fold_head(HeadNet(learned, plan, features_BD, target_KE[class_N[owner_B]], weight_B), learned)
    return learned


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

"""Bind sounds to pictures: symmetric InfoNCE with the picture side frozen. No word is involved."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from openbind.modalities.audio import AudioSettings
from openbind.signal.fbank import PowerMel
from openbind.training.objective import info_nce

# 100 frames as aiSFX was trained: 99 hops of 1,024 samples and a window of 2,048, 2.3 s.
SETTINGS = AudioSettings(
    features=PowerMel(),
    clip_samples=99 * 1024 + 2048,
    frames=100,
    clips="cover",
    mono="mix",
    center=False,
    mean=0.0,
    std=1.0,
)


@dataclass(frozen=True, kw_only=True)
class AudioRecipe:
    """What was chosen on fold 4.

    Args:
        steps: of AdamW, on a one-cycle schedule.
        rate: highest learning rate.
        decay: weight decay of the map, not of the bias.
        scale: 1 / temperature.
        class_clips, stamp_clips: clips of a batch from each of the two collections.
        others: pictures of anything else in a batch, which only repel.
        dropout: of the features.
        seed: of the batches and the dropout.
    """

    steps: int = 250
    rate: float = 2e-3
    decay: float = 0.05
    scale: float = 15.0
    class_clips: int = 192
    stamp_clips: int = 8
    others: int = 256
    dropout: float = 0.2
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class SoundPairs:
    """Clips of sounds and the pictures of the same thing.

    Args:
        clips_BD: features of all clips.
        thing_B: which thing each clip is of.
        pictures: embeddings of each thing's pictures, one (pictures, E) tensor a thing.
    """

    clips_BD: torch.Tensor
    thing_B: torch.Tensor
    pictures: list[torch.Tensor]


def learn_audio_head(
    head: nn.Linear,
    classes: SoundPairs,
    stamps: SoundPairs,
    others_KE: torch.Tensor,
    recipe: AudioRecipe,
) -> None:
    """Set the head so that a clip lies near the pictures of its thing, of unit vectors."""
    chance = torch.Generator().manual_seed(recipe.seed)
    every_BD = torch.cat([classes.clips_BD, stamps.clips_BD])
    mean_D, deviation_D = every_BD.mean(0), every_BD.std(0) + 0.05
    weight_ED = torch.zeros_like(head.weight, requires_grad=True)
    bias_E = others_KE.mean(0).clone().requires_grad_()
    groups = [{"params": [weight_ED], "weight_decay": recipe.decay}]
    optimizer = torch.optim.AdamW(
        [*groups, {"params": [bias_E], "weight_decay": 0.0}], lr=recipe.rate
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.rate, recipe.steps, pct_start=0.1
    )
    for _ in range(recipe.steps):
        clips, targets, items, first = [], [], [], 0
        for pairs, count in ((classes, recipe.class_clips), (stamps, recipe.stamp_clips)):
            pick_B = torch.randint(len(pairs.clips_BD), (count,), generator=chance)
            clips.append(pairs.clips_BD[pick_B])
            targets.append(pairs.thing_B[pick_B] + first)
            items += [pick_row(pictures_KE, chance) for pictures_KE in pairs.pictures]
            first += len(pairs.pictures)
        other_K = torch.randint(len(others_KE), (recipe.others,), generator=chance)
        items_KE = torch.cat([torch.stack(items), others_KE[other_K]])
        input_BD = (torch.cat(clips) - mean_D) / deviation_D
        kept_BD = torch.rand(input_BD.shape, generator=chance) >= recipe.dropout
        input_BD = input_BD * kept_BD / (1 - recipe.dropout)
        query_QE = F.normalize(input_BD @ weight_ED.T + bias_E, dim=1)
        loss = info_nce(query_QE, items_KE, recipe.scale, torch.cat(targets))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        head.weight.copy_(weight_ED / deviation_D)
        head.bias.copy_(bias_E - head.weight @ mean_D)


def pick_row(rows_KE: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    """Return one row at random."""
    return rows_KE[int(torch.randint(len(rows_KE), (1,), generator=chance))]

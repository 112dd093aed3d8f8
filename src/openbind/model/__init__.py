"""The registry of towers: networks that embed tensors, each built from its own frozen config.

A tower is a module from a batch to embed_BE with a `config_type`. Towers whose last layer is a
Linear (`head`, or `head.proj`) also have `features`, the input of that layer: in evaluation mode
`tower.head(tower.features(x))` equals `tower(x)`.
Towers with `is_reference` have no weights of their own: their config names a model of others.
"""

from __future__ import annotations

from openbind.registry import Registry

TOWERS = Registry(
    "tower",
    "openbind.towers",
    {
        "transformer": "openbind.model.tower:Tower",
        "minilm": "openbind.model.backbones.minilm:MiniLM",
        "efficientnet_lite": "openbind.model.backbones.efficientnet_lite:EfficientNetLite",
        "efficientnet_lite_map": (
            "openbind.model.backbones.efficientnet_lite_map:EfficientNetLiteMap"
        ),
        "aisfx": "openbind.model.backbones.aisfx:AiSFX",
        "sentence_transformer": (
            "openbind.model.backbones.sentence_transformer:SentenceTransformerTower"
        ),
        "tipsv2": "openbind.model.backbones.tipsv2:Tipsv2Tower",
        "pe_av": "openbind.model.backbones.pe_av:PeAvTower",
        "motion_statistics": "openbind.model.backbones.motion_statistics:MotionStatistics",
    },
)

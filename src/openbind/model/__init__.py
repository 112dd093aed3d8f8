"""The table of towers: kinds of network, each built from its own frozen config."""

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
    },
)

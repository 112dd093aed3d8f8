"""A tiny space of several families of towers, with random weights."""

from __future__ import annotations

import torch

from openbind.checkpoints.native import build_tower
from openbind.modalities import MODALITIES
from openbind.modalities.audio_settings import AudioSettings
from openbind.model.backbones.aisfx import AiSFXConfig
from openbind.model.backbones.motion_statistics import MotionStatisticsConfig
from openbind.model.config import HeadConfig, PatchStem, TokenStem, TowerConfig, TrunkConfig
from openbind.model.initial import initialize
from openbind.model.tower import Tower
from openbind.signal.front_ends import PowerMel
from openbind.space.config import Binding, SpaceConfig, TowerSpec
from openbind.space.space import Space

DIM = 8
SETTINGS = {
    "image": MODALITIES.get("image").settings(size=32),
    "text": MODALITIES.get("text").settings(context=16),
    "audio": AudioSettings(
        features=PowerMel(), clip_samples=103_424, frames=100, clips="cover", mono="mix"
    ),
    "imu": MODALITIES.get("imu").settings(steps=100, rate_hz=10, clips="cover", edges="mirror"),
}


def make_space(*modalities: str) -> Space:
    """Return a space of some of the modalities "image", "text", "audio" and "imu"."""
    trunk = TrunkConfig(width=16, depth=1, heads=2)
    causal = TrunkConfig(width=16, depth=1, heads=2, causal=True)
    patches = PatchStem(channels=3, kernel=(16, 16), stride=(16, 16), size=(32, 32))
    image = TowerConfig(stem=patches, trunk=trunk, head=HeadConfig(embed_dim=DIM))
    ids = TokenStem(vocabulary=49_408, context=16)
    text = TowerConfig(stem=ids, trunk=causal, head=HeadConfig(embed_dim=DIM, pool="eot"))
    specs = {
        "image": TowerSpec(kind="transformer", config=image),
        "text": TowerSpec(kind="transformer", config=text),
        "audio": TowerSpec(kind="aisfx", config=AiSFXConfig(channels=(4, 8), embed_dim=DIM)),
        "imu": TowerSpec(
            kind="motion_statistics", config=MotionStatisticsConfig(cosines=16, embed_dim=DIM)
        ),
    }
    config = SpaceConfig(
        name="small",
        dim=DIM,
        towers={name: specs[name] for name in modalities},
        modalities={name: Binding(tower=name, settings=SETTINGS[name]) for name in modalities},
        dtype="float32",
    )
    towers = {name: random_tower(specs[name]) for name in modalities}
    return Space(config, towers)


def random_tower(spec: TowerSpec) -> torch.nn.Module:
    """Build a tower with random weights, the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tower = build_tower(spec)
    if isinstance(tower, Tower):
        initialize(tower, torch.Generator().manual_seed(0))
    return tower.eval().requires_grad_(False)

"""Configs of towers: round trips through plain values, and refused values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import openbind.model
from openbind.configs import from_dict, to_dict
from openbind.errors import ConfigError
from openbind.model.config import (
    HeadConfig,
    PatchStem,
    TokenStem,
    TowerConfig,
    TrunkConfig,
    WindowStem,
)

TRUNK = TrunkConfig(width=8, depth=1, heads=2)
STEMS = [
    PatchStem(channels=3, kernel=(14, 14), stride=(10, 14), size=(28, 42), frames=2),
    TokenStem(vocabulary=10, context=5, eot=9),
    WindowStem(channels=6, kernel=8, steps=80),
]


@pytest.mark.parametrize("stem", STEMS, ids=lambda stem: type(stem).__name__)
def test_round_trip(stem: PatchStem | TokenStem | WindowStem) -> None:
    """A config read back from JSON is equal, whichever stem it has."""
    pool = "eot" if isinstance(stem, TokenStem) else "cls"
    config = TowerConfig(stem=stem, trunk=TRUNK, head=HeadConfig(embed_dim=4, pool=pool))
    assert from_dict(TowerConfig, json.loads(json.dumps(to_dict(config)))) == config


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TrunkConfig(width=8, depth=1, heads=3), "don't divide"),
        (lambda: TrunkConfig(width=8, depth=1, heads=2, drop_path=1.0), "drop_path"),
        (lambda: TrunkConfig(width=8, depth=1, heads=2, patch_dropout=-0.1), "patch_dropout"),
        (lambda: TrunkConfig(width=8, depth=1, heads=2, patch_dropout=0.5, causal=True), "causal"),
        (lambda: TokenStem(vocabulary=10, context=5, eot=10), "not an id"),
        (lambda: WindowStem(channels=6, kernel=8, steps=4), "at least one kernel"),
        (lambda: PatchStem(channels=1, kernel=(8, 8), stride=(8, 8), size=(8, 4)), "smaller"),
        (lambda: PatchStem(channels=1, kernel=(8, 8), stride=(0, 8), size=(8, 8)), "positive"),
    ],
)
def test_impossible_values(make: object, message: str) -> None:
    """Impossible values are refused."""
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("stem", "head", "message"),
    [
        (STEMS[1], HeadConfig(embed_dim=4, pool="cls"), "cls token"),
        (STEMS[2], HeadConfig(embed_dim=4, pool="eot"), "token ids"),
        (STEMS[2], HeadConfig(embed_dim=4, project=False), "the width 8"),
    ],
)
def test_parts_that_dont_fit(stem: WindowStem, head: HeadConfig, message: str) -> None:
    """A head that needs a token that the stem lacks is refused."""
    with pytest.raises(ValueError, match=message):
        TowerConfig(stem=stem, trunk=TRUNK, head=head)


def test_ids_are_not_patches() -> None:
    """A stem of ids has no patches to drop."""
    trunk = TrunkConfig(width=8, depth=1, heads=2, patch_dropout=0.5)
    with pytest.raises(ValueError, match="needs a stem of patches"):
        TowerConfig(stem=STEMS[1], trunk=trunk, head=HeadConfig(embed_dim=4, pool="eot"))


def test_files_without_newer_keys() -> None:
    """Keys missing in older files have their defaults."""
    values = {k: v for k, v in to_dict(TRUNK).items() if k != "patch_dropout"}
    assert from_dict(TrunkConfig, values) == TRUNK
    assert TRUNK.patch_dropout == 0.0


def test_misspelt_key() -> None:
    """An unknown key is refused with the nearest name."""
    with pytest.raises(ConfigError, match="did you mean 'width'"):
        from_dict(TrunkConfig, {"widht": 8, "depth": 1, "heads": 2})


def test_no_modality_is_named() -> None:
    """No module of the package contains the name of a modality."""
    names = {"audio", "thermal", "imu", "image", "video", "text", "mel"}
    for path in Path(openbind.model.__file__).parent.glob("*.py"):
        words = set(path.read_text(encoding="utf-8").lower().replace("_", " ").split())
        stripped = {word.strip(".,:;()[]'\"`") for word in words}
        assert not names & stripped, path.name

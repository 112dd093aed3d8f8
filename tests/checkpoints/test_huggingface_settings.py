"""Preprocessing follows a Hugging Face directory; differences are on the card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from openbind.catalog import find
from openbind.checkpoints.huggingface_settings import image_settings, text_settings
from openbind.errors import CheckpointError
from openbind.modalities.image import ImageSettings
from openbind.modalities.text import TextSettings
from openbind.model.config import HeadConfig, PatchStem, TokenStem, TowerConfig, TrunkConfig

TRUNK = TrunkConfig(width=8, depth=1, heads=2)
IMAGES = TowerConfig(
    stem=PatchStem(channels=3, kernel=(8, 8), stride=(8, 8), size=(32, 32)),
    trunk=TRUNK,
    head=HeadConfig(embed_dim=4),
)
TEXT = TowerConfig(
    stem=TokenStem(vocabulary=10, context=12), trunk=TRUNK, head=HeadConfig(embed_dim=4, pool="eot")
)
HALF = (0.5, 0.5, 0.5)
SAID = {"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 1, 1], "size": {"shortest_edge": 32}}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("clip", ImageSettings(size=32)),
        ("siglip", ImageSettings(size=32, fit="squash", mean=HALF, std=HALF)),
    ],
)
def test_defaults(tmp_path: Path, kind: str, expected: ImageSettings) -> None:
    """Without a file: the model family's defaults."""
    assert image_settings(tmp_path, kind, IMAGES) == (expected, [])


@pytest.mark.parametrize("name", ["preprocessor_config.json", "processor_config.json"])
def test_files(tmp_path: Path, name: str) -> None:
    """Both file names are supported."""
    values: dict[str, Any] = SAID if name[:4] == "prep" else {"image_processor": SAID}
    (tmp_path / name).write_text(json.dumps(values))
    found, limits = image_settings(tmp_path, "clip", IMAGES)
    assert found == ImageSettings(size=32, mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0))
    assert limits == []


def test_differences_are_stated(tmp_path: Path) -> None:
    """Another filter, or another size before cropping, is a stated difference."""
    values = {"resample": 1, "size": {"height": 40, "width": 40}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
    _, limits = image_settings(tmp_path, "siglip", IMAGES)
    assert "filter 1" in limits[0]
    assert "40" in limits[1]


def test_bilinear(tmp_path: Path) -> None:
    """SigLIP 2's filter, number 2 in Pillow, is supported."""
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"resample": 2}))
    found, limits = image_settings(tmp_path, "siglip", IMAGES)
    assert (found.filter, limits) == ("bilinear", [])


def test_broken_file(tmp_path: Path) -> None:
    """The error names the file."""
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json: not readable"):
        image_settings(tmp_path, "clip", IMAGES)


def write_tokenizer(folder: Path, pad_id: int | None) -> None:
    values = json.loads((find("starter") / "tokenizer.json").read_text())
    values["padding"] = None
    values["added_tokens"] = []
    if pad_id is not None:
        values["padding"] = {"strategy": {"Fixed": 12}, "direction": "Right", "pad_id": pad_id,
                             "pad_to_multiple_of": None, "pad_type_id": 0,
                             "pad_token": "x"}  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(values))


def test_text_settings(tmp_path: Path) -> None:
    """The directory's tokenizer and the tower's context; without a tokenizer: an error."""
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: no such file"):
        text_settings(tmp_path, "clip", TEXT)
    shutil.copy(find("starter") / "tokenizer.json", tmp_path)
    found = text_settings(tmp_path, "clip", TEXT)
    assert found == TextSettings(tokenizer="tokenizer.json", context=12)


@pytest.mark.parametrize(("stated", "pad"), [(0, 0), (1, 1), (None, 1)])
def test_padding(tmp_path: Path, stated: int | None, pad: int) -> None:
    """SigLIP attends to padding, with the tokenizer's id; texts are lower-cased."""
    write_tokenizer(tmp_path, stated)
    found = text_settings(tmp_path, "siglip", TEXT)
    assert (found.pad, found.lower) == (pad, True)

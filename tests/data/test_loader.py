"""A draw is one clip, the same in every process; neighbors replace unusable items."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from openbind.data.augment import read_augmentations
from openbind.data.loader import AugmentedItems, Batch, CachedFeatures, load_batches
from openbind.data.pairs import Row
from openbind.data.sampler import Draw, PairSize, Sampler, StepBatches
from openbind.data.table import PairTable, tabulate
from openbind.data.views import ViewPlan, anchor_view, apply_view
from openbind.errors import InputError
from openbind.modalities.thermal import MODALITY, ThermalSettings

CROPS = ViewPlan(count=4, crop=(0.2, 0.9), flip=0.5)
SETTINGS = ThermalSettings(size=16)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> PairTable:
    """Twelve color images, each with its gray version."""
    folder = tmp_path_factory.mktemp("images")
    rows = []
    for index in range(12):
        pixels = np.random.default_rng(index).integers(256, size=(40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
        Image.fromarray(pixels).convert("L").save(folder / f"{index}-gray.png")
        items = {"image": (folder / f"{index}.png",), "thermal": (folder / f"{index}-gray.png",)}
        rows.append(Row(key=str(index), items=items))
    return tabulate(rows, "image")


def side_of(
    table: PairTable, plan: ViewPlan = CROPS, operations: Sequence[object] = ("erase",)
) -> AugmentedItems:
    augment = read_augmentations(list(operations))
    return AugmentedItems(table, "thermal", SETTINGS, None, plan, augment, seed=0)


def read(
    table: PairTable, side: AugmentedItems | CachedFeatures, workers: int = 0, steps: int = 4
) -> list[Batch]:
    sizes = [PairSize("a-b", table.choices, CROPS.count, 1)]
    sampler = Sampler(sizes, batch_size=3, steps=steps, seed=0)
    batches = StepBatches(sampler, 0)
    return list(load_batches(["a-b"], [side], [table], batches, num_workers=workers))


def test_same_everywhere(table: PairTable) -> None:
    """Worker processes and a pickled side have the batches of this process."""
    here = read(table, side_of(table))
    there = read(table, pickle.loads(pickle.dumps(side_of(table))), workers=2)
    assert len(here) == 4
    for a, b in zip(here, there, strict=True):
        assert list(a.draws) == list(b.draws)
        assert torch.allclose(a.inputs, b.inputs, atol=1e-6)


def test_shared_view(table: PairTable) -> None:
    """The trained side has the view of its frozen partner."""
    draw = Draw(0, 3, 3, 2, 0)
    found = side_of(table, operations=()).read(draw)
    anchor = table.anchors[3]
    view = anchor_view(anchor, CROPS, 0, 2)
    assert view.box is not None
    assert isinstance(anchor.item, Path)
    image = apply_view("image", str(anchor.item), view).convert("L")
    expected = MODALITY.prepare(SETTINGS, None)(image).clips[0]
    assert (found - expected).abs().max() < 0.02  # a gray level or two of rounding
    other = side_of(table, operations=()).read(Draw(0, 3, 3, 1, 0))
    assert (found - other).abs().max() > 0.1


def test_noise(table: PairTable) -> None:
    """Augmentations depend on the draw's seed."""
    side = side_of(table, operations=[{"erase": {"probability": 1.0}}])
    first, again, other = (side.read(Draw(0, 3, 3, 2, noise)) for noise in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_skipped(table: PairTable, tmp_path: Path) -> None:
    """A broken item is replaced by its neighbor and that one's partner, and listed."""
    (tmp_path / "bad.png").write_bytes(b"no image")
    rows = list(table.rows)
    rows[5] = Row(key="5", items={**rows[5].items, "thermal": (tmp_path / "bad.png",)})
    holed = tabulate(rows, "image")
    batches = read(holed, side_of(holed))
    draws = [draw for batch in batches for draw in batch.draws]
    assert all(len(batch.draws) == 3 for batch in batches)
    assert 5 not in {draw.row for draw in draws}
    assert all(draw.anchor == draw.row for draw in draws)
    skipped = [item for batch in batches for item in batch.skipped]
    assert [(item.pair, item.item) for item in skipped] == [("a-b", "5")]
    assert "bad.png" in skipped[0].reason


@pytest.mark.parametrize("workers", [0, 1])
def test_all_skipped(table: PairTable, tmp_path: Path, workers: int) -> None:
    """Too many consecutive broken items are an `InputError`, from a worker as well."""
    rows = [
        Row(key=row.key, items={**row.items, "thermal": (tmp_path / "none.png",)})
        for row in table.rows
    ]
    holed = tabulate(rows, "image")
    with pytest.raises(InputError, match=r"20 .*none\.png"):
        read(holed, side_of(holed), workers=workers)


class Ragged:
    """Items whose width depends on the row."""

    def read(self, draw: Draw) -> torch.Tensor:
        """Return zeros."""
        return torch.zeros(1 + draw.row % 2)


def make_features(table: PairTable, values_MD: torch.Tensor) -> CachedFeatures:
    """Features of three clips a row."""
    return CachedFeatures(table, 0, values_MD, np.arange(13) * 3, np.arange(12))


def test_shapes(table: PairTable) -> None:
    """Clips of a batch must have one shape."""
    with pytest.raises(InputError, match="differ in shape"):
        read(table, Ragged())


def test_features(table: PairTable) -> None:
    """Cached features are sampled from all clips of an item."""
    values_M = torch.tensor([10 * row + clip for row in range(12) for clip in range(3)])
    features = make_features(table, values_M[:, None].expand(36, 4))
    batches = read(table, features, steps=60)
    for batch in batches:
        assert batch.inputs.shape == (3, 4)
        assert (batch.inputs[:, 0] // 10).tolist() == [draw.row for draw in batch.draws]
    assert set((torch.cat([batch.inputs for batch in batches]) % 10).flatten().tolist()) == {
        0,
        1,
        2,
    }

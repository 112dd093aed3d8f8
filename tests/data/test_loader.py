"""A draw gives one clip, the same wherever it is read; broken items give way to neighbors."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from openbind.data.augment import read_augmentations
from openbind.data.loader import Batch, KeptFeatures, ShownItems, anchor_view, load_batches, show
from openbind.data.pairs import Row
from openbind.data.sampler import Draw, PairSize, Sampler, StepBatches
from openbind.data.table import PairTable, tabulate
from openbind.data.views import ViewPlan
from openbind.errors import ConfigError, InputError
from openbind.modalities.spec import View
from openbind.modalities.thermal import MODALITY, ThermalSettings

CROPS = ViewPlan(count=4, crop=(0.2, 0.9), flip=0.5)
SETTINGS = ThermalSettings(size=16)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> PairTable:
    """Twelve color images with a gray one each; the gray one is their mean."""
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
) -> ShownItems:
    augment = read_augmentations(list(operations))
    return ShownItems(table, "thermal", SETTINGS, None, plan, augment, seed=0)


def read(
    table: PairTable, side: ShownItems | KeptFeatures, num_workers: int = 0, steps: int = 4
) -> list[Batch]:
    sizes = [PairSize("a-b", table.choices, CROPS.count, 1)]
    sampler = Sampler(sizes, batch_size=3, steps=steps, seed=0)
    batches = StepBatches(sampler, 0)
    return list(load_batches(["a-b"], [side], [table], batches, num_workers=num_workers))


def test_same_everywhere(table: PairTable) -> None:
    """Worker processes give the batches of this process, and so does a pickled side."""
    here = read(table, side_of(table))
    there = read(table, pickle.loads(pickle.dumps(side_of(table))), num_workers=2)
    assert len(here) == 4
    for a, b in zip(here, there, strict=True):
        assert a.draws == b.draws
        assert torch.allclose(a.inputs, b.inputs, atol=1e-6)


def test_shared_view(table: PairTable) -> None:
    """The trained side shows the part that its frozen partner shows."""
    draw = Draw(0, 3, 3, 2, 0)
    found = side_of(table, operations=()).read(draw)
    anchor = table.anchors[3]
    view = anchor_view(anchor.key, None, CROPS, 0, 2)
    assert view.box is not None
    assert isinstance(anchor.item, Path)
    image = show("image", str(anchor.item), view).convert("L")
    expected = MODALITY.prepare(SETTINGS, None)(image).clips[0]
    assert (found - expected).abs().max() < 0.02  # a gray level or two of rounding
    other = side_of(table, operations=()).read(Draw(0, 3, 3, 1, 0))
    assert (found - other).abs().max() > 0.1


def test_noise(table: PairTable) -> None:
    """Augmentations depend on the draw's own seed."""
    side = side_of(table, operations=[{"erase": {"probability": 1.0}}])
    first, again, other = (side.read(Draw(0, 3, 3, 2, noise)) for noise in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_broken(table: PairTable, tmp_path: Path) -> None:
    """A broken item's neighbor takes its place, with its own partner, and it is listed."""
    (tmp_path / "bad.png").write_bytes(b"no image")
    rows = list(table.rows)
    rows[5] = Row(key="5", items={**rows[5].items, "thermal": (tmp_path / "bad.png",)})
    holed = tabulate(rows, "image")
    batches = read(holed, side_of(holed))
    draws = [draw for batch in batches for draw in batch.draws]
    assert all(len(batch.draws) == 3 for batch in batches)
    assert 5 not in {draw.row for draw in draws}
    assert all(draw.anchor == draw.row for draw in draws)
    broken = [item for batch in batches for item in batch.skipped]
    assert [(item.pair, item.item) for item in broken] == [("a-b", "5")]
    assert "bad.png" in broken[0].reason


def test_all_broken(table: PairTable, tmp_path: Path) -> None:
    """Too many broken items in succession are an error that says why."""
    rows = [
        Row(key=row.key, items={**row.items, "thermal": (tmp_path / "none.png",)})
        for row in table.rows
    ]
    holed = tabulate(rows, "image")
    with pytest.raises(InputError, match=r"20 rows in succession: can't be read; .*none\.png"):
        read(holed, side_of(holed))


def test_shapes(table: PairTable) -> None:
    """Clips of a batch have one shape."""
    features = KeptFeatures([{None: torch.rand(1, 4 + index % 2)} for index in range(12)])
    with pytest.raises(InputError, match="they differ in shape"):
        read(table, features)


def test_features(table: PairTable) -> None:
    """Kept features give one of an item's clips, in time all of them."""
    clips_S4 = torch.tensor([0, 1, 2])[:, None].expand(3, 4)
    features = KeptFeatures([{None: clips_S4 + 10 * row} for row in range(12)])
    batches = read(table, features, steps=60)
    for batch in batches:
        assert batch.inputs.shape == (3, 4)
        assert (batch.inputs[:, 0] // 10).tolist() == [draw.row for draw in batch.draws]
    assert set((torch.cat([batch.inputs for batch in batches]) % 10).flatten().tolist()) == {
        0,
        1,
        2,
    }


def test_no_parts() -> None:
    """A part of something that has none is refused; the whole is what it is."""
    assert show("text", "a dog", View()) == "a dog"
    with pytest.raises(ConfigError, match="text has no parts"):
        show("text", "a dog", View(flip=True))

"""The collection's table and script are read as typed values."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from openbind.demo.samples import SampleItem, read_on_disk, read_script, read_unseen
from openbind.errors import InputError
from openbind.evaluation.suites import roadscene


def test_content(sample_items: list[SampleItem], samples: Path) -> None:
    """A file's content is its path, a caption's its words."""
    for item in sample_items:
        content = item.content(samples)
        if item.path:
            assert content == samples / item.key
        else:
            assert content == item.key == item.title


def test_script(samples: Path) -> None:
    """What the demo shows has queries in every direction and at least one sum."""
    script = read_script(samples)
    assert {(part.source, part.target) for part in script.retrieval} >= {
        ("text", "image"),
        ("text", "audio"),
        ("audio", "image"),
        ("image", "audio"),
    }
    assert script.arithmetic


def test_unseen_sets(samples: Path) -> None:
    """Items of held-out sets lie where their paths say, and are of the sets asked for."""
    titles = read_script(samples).unseen
    items = read_unseen(titles)
    assert {item.modality for item in items} >= {"depth", "thermal", "imu", "video"}
    assert all((samples / item.path).is_file() for item in items if item.path)
    assert not read_unseen(())


def test_sets_on_disk(samples: Path, tmp_path: Path) -> None:
    """Pairs of a folder of the user's are items that share a concept, none of the starter's own."""
    for side in (roadscene.VISIBLE, roadscene.THERMAL):
        folder = tmp_path / "roadscene" / side
        folder.mkdir(parents=True)
        for name in ("new.jpg", min(roadscene.seen_names())):
            Image.new("L", (16, 8)).save(folder / name)
    items = read_on_disk(tmp_path)
    assert [(item.modality, item.concept) for item in items] == [
        ("image", "new.jpg"),
        ("thermal", "new.jpg"),
    ]
    asked = read_script(samples).asking(items).retrieval
    assert [r for r in asked if items[1].key in r.queries] == [
        r for r in asked if (r.source, r.target) == ("thermal", "image")
    ]
    with pytest.raises(InputError, match="expected a folder roadscene"):
        read_on_disk(tmp_path / "roadscene")

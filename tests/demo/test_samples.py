"""The collection's table and script are read as typed values."""

from __future__ import annotations

from pathlib import Path

from openbind.demo.samples import SampleItem, read_script


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

"""Each item is embedded once; failures are named; settings are those of the protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import openbind
from openbind.errors import InputError
from openbind.evaluation import embedder as module
from openbind.evaluation.embedder import Embedder


@pytest.fixture
def waves(tmp_path: Path) -> list[Path]:
    """Three files of noise, the last one broken."""
    generator = np.random.default_rng(0)
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, 0.1 * generator.normal(size=40_000), 16_000)
    (tmp_path / "c.wav").write_bytes(b"broken")
    return [tmp_path / name for name in ("a.wav", "b.wav", "c.wav")]


def test_rows(tiny: openbind.Space, waves: list[Path]) -> None:
    """Vectors are those of `encode`; a broken file is a NaN row with its reason."""
    rows = Embedder(tiny).embed("audio", waves)
    np.testing.assert_allclose(rows.vectors_NE[:2], tiny.encode("audio", waves[:2]), atol=1e-5)
    assert rows.usable == rows.require_some() == [0, 1]
    assert list(rows.errors) == [waves[2].as_posix()]
    with pytest.raises(InputError, match=r"c\.wav"):
        Embedder(tiny).embed("audio", waves[2:]).require_some()
    with pytest.raises(InputError, match="none"):
        Embedder(tiny).embed("audio", []).require_some()


def test_items_are_embedded_once(
    tiny: openbind.Space, waves: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items that two tasks share, and duplicates, go through the towers once; failures too."""
    seen: list[Any] = []
    embed_many = module.embed_many

    def count(space: openbind.Space, entries: Any, **options: Any) -> Iterator[Any]:
        seen.extend(entry.item for entry in entries)
        return embed_many(space, entries, **options)

    monkeypatch.setattr(module, "embed_many", count)
    embedder = Embedder(tiny)
    first = embedder.embed("audio", [waves[0], waves[0], waves[2]])
    again = embedder.embed("audio", [waves[2], waves[1], waves[0]])
    assert seen == [waves[0], waves[2], waves[1]]
    assert np.array_equal(first.vectors_NE[1], again.vectors_NE[2])
    assert first.errors == again.errors


def test_settings(tiny: openbind.Space, waves: list[Path]) -> None:
    """The same file with other settings is embedded for itself."""
    embedder = Embedder(tiny)
    plain = embedder.embed("audio", waves[:1]).vectors_NE
    covered = embedder.embed("audio", waves[:1], {"clips": "cover"}).vectors_NE
    expected = tiny.with_settings("audio", clips="cover").encode("audio", waves[:1])
    np.testing.assert_allclose(covered, expected, atol=1e-5)
    assert not np.allclose(plain, covered, atol=1e-4)


def test_prompts(tiny: openbind.Space) -> None:
    """Several texts share the mean of their vectors; an empty text is an error."""
    found = Embedder(tiny).embed_prompts([["a dog", "dogs"], ["a cat"]])
    mean = tiny.encode("text", ["a dog", "dogs"]).mean(axis=0)
    np.testing.assert_allclose(found[0], mean / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_allclose(found[1], tiny.encode("text", ["a cat"])[0], atol=1e-5)
    with pytest.raises(InputError):
        Embedder(tiny).embed_prompts([[""]])

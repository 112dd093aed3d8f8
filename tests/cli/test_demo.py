"""`openbind demo`: prints queries and scores, and writes a page that stands alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from openbind.embedding.cache import VectorCache
from openbind.evaluation.embedder import Embedder

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.slow
def test_demo(
    run: Run, tmp_path: Path, kept_vectors: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All directions with R@5 above chance, sums, accuracies, the card; media are in the page."""
    # The demo computes all vectors; those that other tests computed are the same.
    caching = partial(Embedder, cache=VectorCache())
    monkeypatch.setattr("openbind.evaluation.embedder.Embedder", caching)
    page = tmp_path / "demo" / "index.html"
    code, out, err = run("demo", "-o", page, "--batch-size", 16, "--workers", 2)
    assert code == 0, err
    for direction in ("text → image", "text → audio", "audio → image", "image → audio"):
        found = re.search(rf"{direction} .*R@5 ([\d.]+), chance ([\d.]+)", out)
        assert found, direction
        assert float(found[1]) > float(found[2])
    assert "the sound of birds" in out
    assert "zero-shot audio classification: accuracy" in out
    assert "model card" in out
    html = page.read_text(encoding="utf-8")
    for section in ("matrix", "neighbors", "sums", "confusions", "credits", "model"):
        assert f'id="{section}"' in html
    assert html.count("<audio ") > 20
    assert html.count("<video ") > 1
    assert html.count("<img ") > 100
    assert html.count("CC-BY") > 10
    sources = re.findall(r'(?:src|poster)="([^"]{0,5})', html)
    assert set(sources) == {"data:"}

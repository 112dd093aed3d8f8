"""The tutorial runs: readings of a new sensor are classified by text, zero-shot."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from openbind.modalities import MODALITIES

pytestmark = pytest.mark.slow

PATH = Path(__file__).parents[2] / "examples" / "seventh_modality.py"


def test_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accuracy on new readings is far above chance; the starter's modalities stay."""
    monkeypatch.setenv("OPENBIND_CACHE", str(tmp_path / "cache"))
    spec = importlib.util.spec_from_file_location("seventh_modality", PATH)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "seventh_modality", example)
    spec.loader.exec_module(example)
    try:
        assert example.main(tmp_path) >= 0.6
    finally:
        del MODALITIES.added["smell"]

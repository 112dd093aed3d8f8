"""Front ends refuse parameters that don't fit each other."""

from __future__ import annotations

import pytest

from openbind.signal.front_ends import KaldiFbank


@pytest.mark.parametrize("changes", [{"window": 600}, {"low_hz": 9_000.0}])
def test_kaldi_parts_fit(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        KaldiFbank(**changes)  # type: ignore[arg-type]

"""What towers of models of others share: the texts of their bytes, and no weights to store."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def read_texts(bytes_BN: Tensor) -> list[str]:
    """Return the texts of rows of UTF-8 bytes, padded with 0.

    Args:
        bytes_BN: uint8. A text that was cut may end within a character, which is dropped.
    """
    rows = bytes_BN.cpu().numpy()
    return [row.tobytes().rstrip(b"\0").decode(errors="ignore") for row in rows]


def no_weights(tower: Any, *_: Any, **__: Any) -> dict[str, Any]:
    """Return an empty state: the weights stay where the tower's config says they are."""
    return {}

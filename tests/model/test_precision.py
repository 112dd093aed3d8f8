"""The automatic precision depends on the machine's capabilities."""

from __future__ import annotations

import pytest
import torch

from openbind.model.precision import fastest_dtype


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": True}, torch.bfloat16),
        ({"avx512_f": True, "avx512_bf16": False}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_cpu(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: torch.dtype
) -> None:
    """bfloat16 only where the processor has instructions for it."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert fastest_dtype("cpu") == expected


def test_unknown_device() -> None:
    """Other devices compute in float32."""
    assert fastest_dtype("meta") == torch.float32

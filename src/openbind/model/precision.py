"""The fastest precision of a machine."""

from __future__ import annotations

import torch

# Instruction sets with products in bfloat16, as cpuinfo names them.
_BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")


def fastest_dtype(device: torch.device | str) -> torch.dtype:
    """Return the precision for inference that `dtype="auto"` means.

    Args:
        device: of the towers.

    Returns:
        bfloat16 on x86 CPUs and CUDA devices with native support (AVX512-BF16, AMX); float16 on
        other CUDA devices; float32 elsewhere.
    """
    kind = torch.device(device).type
    if kind == "cpu" and _cpu_multiplies_bfloat16():
        return torch.bfloat16
    if kind == "cuda":
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if supported else torch.float16
    return torch.float32


def _cpu_multiplies_bfloat16() -> bool:
    if hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        return any(bool(found.get(name)) for name in _BFLOAT16_INSTRUCTIONS)
    # Older releases of torch have only this private function, or none.
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return supported is not None and bool(supported())

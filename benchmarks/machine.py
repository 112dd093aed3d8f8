"""What the other benchmarks ran on: processor, versions, and the ceilings of its products.

    python benchmarks/machine.py

The ceiling is the product of 2,048 × 1,280 by 1,280 × 5,120 numbers, as PyTorch runs it: in
float32, in bfloat16 (which processors without instructions for it emulate), and of bytes by oneDNN.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from datetime import datetime, timezone
from pathlib import Path

import torch
from flops import byte_ceiling, ceiling
from tables import print_heads, print_row

from openbind.model.int8 import is_fast

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")
PACKAGES = ("numpy", "onnxruntime", "openvino", "faiss-cpu", "lancedb", "usearch")
COPIED = 1 << 28


def describe_processor() -> tuple[str, str]:
    """Return the processor's name and what it has of the instructions that matter."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine(), "unknown"
    fields = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    found = fields.get("flags", fields.get("Features", "")).split()
    return fields.get("model name", platform.machine()), ", ".join(f for f in FLAGS if f in found)


def list_versions() -> str:
    """Return the versions of what is compared."""
    found = [f"Python {platform.python_version()}", f"PyTorch {torch.__version__}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


def copy_rate() -> float:
    """Return the bytes per second that a copy reads and writes."""
    source = torch.ones(COPIED, dtype=torch.uint8)
    target = torch.empty_like(source)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        target.copy_(source)
        times.append(time.perf_counter() - start)
    return 2 * COPIED / min(times[1:])


def main() -> None:
    """Describe the machine."""
    name, flags = describe_processor()
    load, _, _ = os.getloadavg()
    print_heads("measured on", "")
    print_row("date", f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC")
    print_row("processor", f"{name}; {os.cpu_count()} threads, {torch.get_num_threads()} used")
    print_row("instructions", flags)
    print_row("memory", f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.0f} GB")
    print_row("versions", list_versions())
    print_row("others' work when this began", f"{load:.1f} threads busy in the last minute")
    exact = ceiling()
    print_row("float32 products", f"{exact / 1e9:.0f} GFLOP/s")
    half = ceiling(torch.bfloat16)
    print_row("bfloat16 products", f"{half / 1e9:.0f} GFLOP/s, {half / exact:.2f} × float32")
    if is_fast("cpu"):
        small = byte_ceiling()
        print_row("products of bytes", f"{small / 1e9:.0f} GOP/s, {small / exact:.2f} × float32")
    print_row("copying", f"{copy_rate() / 1e9:.0f} GB/s read and written")


if __name__ == "__main__":
    main()

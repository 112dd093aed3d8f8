"""The script for GPUs runs in every part, so that it works where one is at hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from openbind.modalities import MODALITIES

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"

pytestmark = pytest.mark.slow


def run(*options: str) -> str:
    """Run the script; return what it prints."""
    command = [sys.executable, str(SCRIPT), *options]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="takes ten minutes on a GPU")
def test_without_a_gpu() -> None:
    """It says so and ends well."""
    assert "no CUDA device" in run()


def test_every_section() -> None:
    """On small towers each section fills its rows of the table; equal devices agree."""
    table = run("--device", "cpu", "--tiny").rpartition("| section |")[2]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    by_section: dict[str, dict[str, str]] = {}
    for section, measure, value in rows:
        by_section.setdefault(section, {})[measure] = value
    assert by_section["agreement"].keys() == set(MODALITIES.names())
    assert all("differs by 0.0e+00" in value for value in by_section["agreement"].values())
    assert len(by_section["towers"]) == 1 + len(MODALITIES.names())
    assert len(by_section["files"]) == 2
    for name in ("tower", "head"):
        assert "towers on cpu" in by_section["training"][name]
    assert "torch.compile" in by_section["training"]["compiled tower"]

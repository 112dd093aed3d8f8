"""Everything that runs on an accelerator, in one go of under ten minutes: speed and agreement.

    python benchmarks/gpu.py [--device cuda] [--tiny]

Sections, each with rows of the table that is printed at the end:

- towers: every tower of `imagebind_huge` with random weights in bfloat16, on random inputs; FLOPs
  are counted by PyTorch, the peak is a bfloat16 matrix product measured in the same run.
- agreement: vectors of the same weights and inputs on the CPU in float32.
- files: `embed_many` from JPEG and WAV files made for this run; the share of the time in which
  the towers are at work shows whether decoding keeps up.
- training: steps of an audio tower against cached images, with and without `torch.compile`;
  validation, and training of a head alone. Frozen towers must run on the device, too.

Without a GPU it says so and ends. `--device cpu --tiny` runs every section on small towers within
a minute; its figures mean nothing, but it shows that the script works.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import openbind
from openbind.embedding.many import Entry, embed_many
from openbind.errors import ConfigError
from openbind.model.trunk import Trunk
from openbind.training.recipe_file import read_recipe
from openbind.training.run import train
from openbind.training.state import RunFolder
from openbind.training.validation import measure_retrieval

# Shapes of one preprocessed item of imagebind_huge; other presets have the same inputs.
INPUTS: dict[str, tuple[int, ...]] = {
    "image": (3, 224, 224),
    "video": (3, 2, 224, 224),
    "text": (77,),
    "audio": (1, 128, 204),
    "depth": (1, 224, 224),
    "thermal": (1, 224, 224),
    "imu": (6, 2000),
}
RECIPE = """
name: bench
start: {start}
batch_size: {batch}
pairs: [{{pair: [image, audio], data: {{manifest: pairs.csv}}, validation: 0.25}}]
towers: {{audio: {tower}}}
schedule: {{lr: 1e-4, steps: {steps}, warmup_steps: 1}}
hardware: {{device: {device}, precision: {dtype}, num_workers: {workers}{compile}}}
logging: {{log_every: {log_every}, validate_every: {steps}, validation_rows: {rows}}}
"""


@dataclass(frozen=True)
class Size:
    """How much is run.

    Args:
        preset: architecture.
        dtype: precision of inference.
        batch: items that go through a tower together, and rows of a training step.
        rounds: timed repetitions.
        matrix: side of the matrices of the peak.
        files: of each kind that are embedded.
        pairs: rows that are trained on.
        steps: of a training run; the last third is timed.
        workers: decoders.
    """

    preset: str
    dtype: str
    batch: int
    rounds: int
    matrix: int
    files: int
    pairs: int
    steps: int
    workers: int


FULL = Size("imagebind_huge", "bfloat16", 64, 10, 8192, 1000, 512, 60, 12)
TINY = Size("tiny", "float32", 2, 1, 256, 6, 16, 3, 1)


@dataclass
class Report:
    """Rows of the table."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, section: str, measure: str, value: str) -> None:
        """Add a row, and print it at once."""
        self.rows.append((section, measure, value))
        print(f"{section}: {measure}: {value}", flush=True)

    def table(self) -> str:
        """Return all rows as Markdown."""
        lines = [f"| {section} | {measure} | {value} |" for section, measure, value in self.rows]
        return "\n".join(["| section | measure | value |", "|---|---|---|", *lines])


@dataclass
class TowerClock:
    """Time that transformer trunks compute, and where, while the context is open."""

    device: str
    spans: list[tuple[Any, Any]] = field(default_factory=list)
    devices: set[str] = field(default_factory=set)

    def seconds(self) -> float:
        """Return the sum over all calls."""
        synchronize(self.device)
        if self.device == "cuda":
            return float(sum(start.elapsed_time(end) for start, end in self.spans)) / 1000
        return float(sum(end - start for start, end in self.spans))

    def note_start(self, module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        """Note where a trunk's inputs are, and when it starts."""
        if isinstance(module, Trunk):
            self.devices.add(inputs[0].device.type)
            self.spans.append((self._now(), None))

    def note_end(self, module: torch.nn.Module, _inputs: Any, _output: Any) -> None:
        """Note when a trunk ends."""
        if isinstance(module, Trunk):
            self.spans[-1] = (self.spans[-1][0], self._now())

    def _now(self) -> Any:
        if self.device != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


@contextmanager
def tower_clock(device: str) -> Iterator[TowerClock]:
    """Time the trunks of all towers in the block."""
    clock = TowerClock(device)
    hooks = torch.nn.modules.module
    handles = [
        hooks.register_module_forward_pre_hook(clock.note_start),
        hooks.register_module_forward_hook(clock.note_end),
    ]
    try:
        yield clock
    finally:
        for handle in handles:
            handle.remove()


def synchronize(device: str) -> None:
    """Wait until the device has done all its work."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds_of(run: Callable[[], object], device: str, rounds: int = 1) -> float:
    """Return the mean time of a call, the device's work included."""
    synchronize(device)
    start = time.perf_counter()
    for _ in range(rounds):
        run()
    synchronize(device)
    return (time.perf_counter() - start) / rounds


def random_batch(modality: str, count: int, device: str) -> Tensor:
    """Return a batch of preprocessed items; a text has 13 tokens."""
    generator = torch.Generator().manual_seed(0)
    if modality != "text":
        return torch.randn((count, *INPUTS[modality]), generator=generator).to(device)
    ids_BN = torch.zeros((count, *INPUTS[modality]), dtype=torch.long)
    ids_BN[:, :12] = torch.randint(1, 49406, (count, 12), generator=generator)
    ids_BN[:, 12] = 49407
    return ids_BN.to(device)


@torch.inference_mode()
def peak_flops(device: str, size: Size) -> float:
    """Measure a matrix product, in FLOP/s."""
    side, dtype = size.matrix, getattr(torch, size.dtype)
    x, weight = (torch.randn(side, side, device=device, dtype=dtype) for _ in "xw")
    F.linear(x, weight)
    return 2 * side**3 / seconds_of(lambda: F.linear(x, weight), device, 10)


def measure_towers(report: Report, size: Size, device: str) -> None:
    """Time every tower on random inputs."""
    space = openbind.load(size.preset, weights="random", device=device, dtype=size.dtype)
    peak = peak_flops(device, size)
    report.add("towers", f"{size.dtype} matrix product", f"{peak / 1e12:.3g} TFLOP/s")
    for modality in space.modalities:
        batch = {modality: random_batch(modality, size.batch, device)}
        with FlopCounterMode(display=False) as counter:
            space.embed_tensors(batch)
        seconds = seconds_of(partial(space.embed_tensors, batch), device, size.rounds)
        flops = counter.get_total_flops() / seconds
        value = f"{size.batch / seconds:.3g} items/s, {flops / 1e12:.3g} TFLOP/s, "
        report.add("towers", modality, value + f"{flops / peak:.0%} of the product's")


def measure_agreement(report: Report, size: Size, device: str) -> None:
    """Compare vectors with those of the CPU in float32."""
    found: list[dict[str, Tensor]] = []
    for place, dtype in (("cpu", "float32"), (device, "float32"), (device, "bfloat16")):
        space = openbind.load(size.preset, weights="random", device=place, dtype=dtype)
        inputs = {name: random_batch(name, 2, place) for name in space.modalities}
        embedded = space.embed_tensors(inputs)
        found.append({name: vectors_BE.float().cpu() for name, vectors_BE in embedded.items()})
    for name, expected_BE in found[0].items():
        difference = (found[1][name] - expected_BE).abs().max().item()
        cosine = F.cosine_similarity(found[2][name], expected_BE).min().item()
        value = f"float32 differs by {difference:.1e} at most, bfloat16 has cosine {cosine:.5f}"
        report.add("agreement", name, value)


def write_files(folder: Path, count: int) -> list[tuple[Path, Path]]:
    """Write JPEGs of 640 × 480 and WAVs of 5 s, all different."""
    rng = np.random.default_rng(0)
    pairs = []
    for index in range(count):
        image, sound = folder / f"{index}.jpg", folder / f"{index}.wav"
        coarse_HWC = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(coarse_HWC).resize((640, 480)).save(image, quality=90)
        soundfile.write(sound, rng.uniform(-0.5, 0.5, 5 * 44_100), 44_100)
        pairs.append((image, sound))
    return pairs


def measure_files(report: Report, size: Size, device: str, folder: Path) -> None:
    """Embed files, one modality after the other."""
    space = openbind.load(
        size.preset,
        weights="random",
        modalities=["image", "audio"],
        device=device,
        dtype="bfloat16",
    )
    files = write_files(folder, size.files)
    for modality, paths in zip(("image", "audio"), zip(*files, strict=True), strict=True):
        entries = [Entry(modality, path) for path in paths]
        list(embed_many(space, entries[: size.batch]))
        rows = embed_many(space, entries, workers=size.workers)
        with tower_clock(device) as clock:
            seconds = seconds_of(partial(list, rows), device)
        busy = clock.seconds() / seconds
        value = f"{len(entries) / seconds:.3g} files/s, towers at work {busy:.0%} of the time"
        report.add("files", f"{modality}, {size.workers} workers", value)


def write_training(size: Size, folder: Path) -> None:
    """Write the pairs to train on and the space to start from."""
    lines = [f"{image.name},{sound.name}" for image, sound in write_files(folder, size.pairs)]
    (folder / "pairs.csv").write_text("\n".join(["image,audio", *lines]) + "\n")
    space = openbind.load(
        size.preset, weights="random", modalities=["image", "audio"], device="cpu", dtype=size.dtype
    )
    openbind.save(space, folder / "start")


def run_training(
    size: Size, device: str, folder: Path, name: str, tower: str, compiled: bool = False
) -> tuple[float, float, float, set[str]]:
    """Train, and return steps per second, seconds of validation and of all, and devices used."""
    recipe = folder / f"{name}.yaml"
    recipe.write_text(
        RECIPE.format(
            start=folder / "start",
            batch=size.batch,
            tower=tower,
            steps=size.steps,
            device=device,
            dtype=size.dtype,
            workers=size.workers,
            compile=", compile: true" if compiled else "",
            log_every=max(1, size.steps // 3),
            rows=size.pairs,
        )
    )
    validation: list[float] = []

    def timed(*given: Any, **options: Any) -> Any:
        start = time.perf_counter()
        result = measure_retrieval(*given, **options)
        validation.append(time.perf_counter() - start)
        return result

    timing = patch("openbind.training.pair_state.measure_retrieval", timed)
    # Hooks would break the graph of a compiled tower.
    clocks = nullcontext(TowerClock(device)) if compiled else tower_clock(device)
    with clocks as clock, timing:
        seconds = seconds_of(lambda: train(read_recipe(recipe), folder, folder / name), device)
    lines = [json.loads(line) for line in RunFolder(folder / name).log.read_text().splitlines()]
    rows_per_second = [line["rows_per_second"] for line in lines if "rows_per_second" in line]
    return rows_per_second[-1] / size.batch, min(validation), seconds, clock.devices


def measure_training(report: Report, size: Size, device: str, folder: Path) -> None:
    """Train a tower with and without compilation, and a head."""
    write_training(size, folder)
    runs = [
        ("tower", "{start: space}", False),
        ("compiled tower", "{start: space}", True),
        ("head", "{start: space, train: head}", False),
    ]
    for name, tower, compiled in runs:
        if compiled and device == "cpu":
            report.add("training", name, "not run: torch.compile takes minutes on a CPU")
            continue
        try:
            found = run_training(size, device, folder, name.replace(" ", "-"), tower, compiled)
        except ConfigError as error:
            report.add("training", name, f"not run: {error}")
            continue
        steps, validation, seconds, devices = found
        value = f"{steps:.2f} steps/s of {size.batch} rows, validation {validation:.1f} s, "
        where = " and ".join(sorted(devices)) or device
        report.add("training", name, value + f"all {seconds:.0f} s, towers on {where}")


def main() -> None:
    """Run all sections and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small towers and few files")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device here; `--device cpu --tiny` runs the script without one")
        return
    size, device, started = TINY if options.tiny else FULL, options.device, time.perf_counter()
    report = Report()
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    report.add("machine", f"{name}, PyTorch {torch.__version__}", f"{size.preset}, {size.dtype}")
    with tempfile.TemporaryDirectory() as folder:
        for part in ("files", "training"):
            (Path(folder) / part).mkdir()
        measure_towers(report, size, device)
        measure_agreement(report, size, device)
        measure_files(report, size, device, Path(folder) / "files")
        measure_training(report, size, device, Path(folder) / "training")
    report.add("machine", "whole script", f"{time.perf_counter() - started:.0f} s")
    print(f"\n{report.table()}")


if __name__ == "__main__":
    main()

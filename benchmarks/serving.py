"""Load test of the service over loopback: errors, latencies, memory.

    python benchmarks/serving.py [--index DIRECTORY] [--clients 64] [--seconds 60] [--only KIND]

Starts `openbind serve` in a process of its own and sends requests from many concurrent clients,
each with its own mix: texts singly and in lists, images, audio, classification, and searches; of
the samples, unless an index is given. Images and audio differ from request to request, so that none
is computed once for two. What bounds it is in the CPU seconds of the service, of its decoders and
of the clients, beside those that `space.encode` needs for one item: on a machine that others use,
too, CPU seconds an answer say what the rate would be. `--only` (repeated) chooses kinds, such as
`text`. A client that gets 503 waits as long as Retry-After says. Memory is the service's resident
set, read each second.

Fails on any error other than 503, or if the median memory of the last third is more than a tenth
above that of the middle third; a batch takes a few hundred megabytes for a moment.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import soundfile
from PIL import Image
from tables import print_heads, print_row

import openbind
from openbind.evaluation.samples import read_samples, samples_folder

GROWTH = 1.1
BARE_ITEMS = 64
MakeRequest = Callable[[random.Random], tuple[str, dict[str, Any]]]


@dataclass
class Tally:
    """Latencies, statuses, errors, sizes of batches and memory."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    batches: dict[str, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


def data_url(content: bytes) -> str:
    return f"data:;base64,{base64.b64encode(content).decode()}"


def make_kinds(has_index: bool) -> dict[str, MakeRequest]:
    """Return the request types: name → a function that makes a random one."""
    folder = samples_folder()
    rows = read_samples(folder)
    images = [Image.open(folder / r.path).convert("RGB") for r in rows if r.modality == "image"]
    recordings = [soundfile.read(folder / r.path) for r in rows if r.modality == "audio"]
    words = ["a", "dog", "and", "cat", "near", "the", "old", "house", "while", "rain", "falls"]

    def text(rng: random.Random) -> str:
        return " ".join(rng.choices(words, k=rng.randrange(1, 20)))

    def image(rng: random.Random) -> str:
        pixels = np.array(rng.choice(images))
        pixels[0, 0] = rng.randbytes(3)[0]
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "JPEG", quality=rng.randrange(70, 95))
        return data_url(out.getvalue())

    def audio(rng: random.Random) -> str:
        samples, rate_hz = rng.choice(recordings)
        out = io.BytesIO()
        soundfile.write(out, samples * rng.uniform(0.5, 1.0), rate_hz, format="WAV")
        return data_url(out.getvalue())

    def embed(modality: str, make: Callable[[random.Random], str], count: int = 1) -> MakeRequest:
        return lambda rng: (
            "/v1/embeddings",
            {"modality": modality, "input": [make(rng) for _ in range(count)]},
        )

    kinds: dict[str, MakeRequest] = {
        "text": embed("text", text),
        "32 texts": embed("text", text, 32),
        "image": embed("image", image),
        "audio": embed("audio", audio),
        "classify": lambda rng: (
            "/v1/classify",
            {"modality": "image", "input": image(rng), "labels": [text(rng), "a dog"]},
        ),
    }
    if has_index:
        kinds["search"] = lambda rng: ("/v1/search", {"parts": [{"input": text(rng)}]})
        kinds["search by image"] = lambda rng: (
            "/v1/search",
            {"parts": [{"modality": "image", "input": image(rng)}, {"input": text(rng)}]},
        )
    return kinds


def run_client(
    url: str, end: float, seed: int, kinds: dict[str, MakeRequest], tally: Tally
) -> None:
    """Send requests until the end."""
    rng = random.Random(seed)
    with httpx.Client(base_url=url, timeout=120) as client:
        while time.perf_counter() < end:
            name = rng.choice(list(kinds))
            path, body = kinds[name](rng)
            start = time.perf_counter()
            try:
                response = client.post(path, json=body)
            except httpx.HTTPError as error:
                with tally.lock:
                    tally.errors.append(f"{name}: {error!r}")
                continue
            with tally.lock:
                tally.statuses[str(response.status_code)] += 1
                if response.status_code == 200:
                    tally.seconds.setdefault(name, []).append(time.perf_counter() - start)
                elif response.status_code != 503:
                    tally.errors.append(f"{name}: {response.status_code} {response.text[:200]}")
            if response.status_code == 503:
                time.sleep(float(response.headers["Retry-After"]))


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def used_by(pid: int) -> dict[str, float]:
    """Return the CPU time of a service, of all processes below it, and of the clients here."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents[int(stat.parent.name)] = int(fields[1])
    below, known = {pid}, 0
    while len(below) > known:
        known = len(below)
        below |= {child for child, parent in parents.items() if parent in below}
    decoders = 0.0
    for child in below - {pid}:
        with suppress(OSError):
            decoders += cpu_seconds(child)
    return {"service": cpu_seconds(pid), "decoders": decoders, "clients": time.process_time()}


def measure_bare() -> dict[str, float]:
    """Return the CPU seconds of `space.encode` for one item of each kind."""
    space, rng, found = openbind.load("starter", device="cpu"), random.Random(0), {}
    kinds = make_kinds(has_index=False)
    for name in ("text", "image", "audio"):
        given = [kinds[name](rng)[1]["input"][0] for _ in range(BARE_ITEMS)]
        items = given if name == "text" else [base64.b64decode(url[13:]) for url in given]
        space.encode(name, items[:4])
        start = time.process_time()
        space.encode(name, items)
        found[name] = (time.process_time() - start) / BARE_ITEMS
    return found


def batch_sizes(url: str) -> dict[str, float]:
    """Return the mean number of items in a batch of each modality, since the service started."""
    text = httpx.get(f"{url}/metrics").text
    found = re.findall(r'openbind_batch_items_(sum|count)\{modality="(\w+)"\} (\S+)', text)
    parts = {(kind, name): float(value) for kind, name, value in found}
    return {
        name: total / parts["count", name] for (kind, name), total in parts.items() if kind == "sum"
    }


def resident_bytes(pid: int) -> int:
    """Return a process's resident set size."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def run_load(url: str, pid: int, clients: int, seconds: float, only: list[str]) -> Tally:
    """Run many clients, and record the service's memory and CPU time."""
    has_index = httpx.get(f"{url}/v1/index").status_code == 200
    kinds, tally = make_kinds(has_index), Tally()
    kinds = {name: kinds[name] for name in only or kinds}
    before = used_by(pid)
    end = time.perf_counter() + seconds
    threads = [
        threading.Thread(target=run_client, args=(url, end, seed, kinds, tally))
        for seed in range(clients)
    ]
    for thread in threads:
        thread.start()
    while time.perf_counter() < end:
        time.sleep(1)
        tally.memory.append(resident_bytes(pid))
    for thread in threads:
        thread.join()
    tally.batches = batch_sizes(url)
    tally.cpu_seconds = {name: used - before[name] for name, used in used_by(pid).items()}
    return tally


def thirds(memory: list[int]) -> tuple[int, int]:
    """Return the medians of the middle and of the last third."""
    _, middle, last = np.array_split(memory, 3)
    return int(np.median(middle)), int(np.median(last))


def summarize(tally: Tally, seconds: float) -> dict[str, Any]:
    every = [value for values in tally.seconds.values() for value in values]
    middle, last = thirds(tally.memory)
    return {
        "requests_per_second": len(every) / seconds,
        "cpu_ms_an_answer": {
            name: round(1000 * used / max(len(every), 1), 1)
            for name, used in tally.cpu_seconds.items()
        },
        "items_a_batch": {name: round(mean, 1) for name, mean in tally.batches.items()},
        "statuses": dict(tally.statuses),
        "errors": len(tally.errors),
        "first_errors": tally.errors[:5],
        "p50_p99_seconds": {
            name: [round(float(np.percentile(values, p)), 3) for p in (50, 99)]
            for name, values in sorted({**tally.seconds, "all": every}.items())
        },
        "memory_mb": {
            "middle third, median": middle >> 20,
            "last third, median": last >> 20,
            "maximum": max(tally.memory) >> 20,
        },
    }


def print_tables(found: dict[str, Any], clients: int, bare: dict[str, float]) -> None:
    """Print what `summarize` returns."""
    memory = found["memory_mb"]
    statuses = ", ".join(f"{count:,} of {code}" for code, count in found["statuses"].items())
    print_heads(f"{clients} clients", "")
    print_row("answers a second", f"{found['requests_per_second']:.1f}")
    print_row("by status", statuses)
    print_row(
        "CPU ms an answer", ", ".join(f"{k} {v}" for k, v in found["cpu_ms_an_answer"].items())
    )
    print_row("memory, MB: middle third, last third", f"{memory['middle third, median']}, "
              f"{memory['last third, median']}")  # fmt: skip
    print_row("peak memory, MB", memory["maximum"])
    print_heads("answers", "p50", "p99", "CPU ms of `space.encode` alone")
    for name, (p50, p99) in found["p50_p99_seconds"].items():
        print_row(name, f"{p50:.2f} s", f"{p99:.2f} s", bare.get(name, ""))


def make_index(folder: Path) -> Path:
    """Index a copy of the samples."""
    for name in ("images", "sounds"):
        shutil.copytree(samples_folder() / name, folder / name)
    command = [sys.executable, "-m", "openbind", "index", "create", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def serve_load(index: str, given: argparse.Namespace) -> Tally:
    """Serve in a process of its own, and load it."""
    command = [sys.executable, "-m", "openbind", "serve", "--port", "0", "--index", index]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as service:
        assert service.stderr is not None
        line = service.stderr.readline()
        address = re.search(r"http://[^/]+", line)
        assert address, line
        try:
            return run_load(address[0], service.pid, given.clients, given.seconds, given.only)
        finally:
            service.terminate()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", metavar="DIRECTORY")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--only", action="append", default=[], metavar="KIND")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally = serve_load(given.index or str(make_index(Path(folder))), given)
    bare = {name: round(1000 * used, 1) for name, used in measure_bare().items()}
    found = {**summarize(tally, given.seconds), "bare_cpu_ms": bare}
    if given.json:
        print(json.dumps(found, indent=1))
    else:
        print_tables(found, given.clients, bare)
    middle, last = thirds(tally.memory)
    return 0 if not tally.errors and last <= GROWTH * middle else 1


if __name__ == "__main__":
    sys.exit(main())

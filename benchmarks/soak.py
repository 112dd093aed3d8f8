"""Soak test of the service: honest clients beside one that sends bombs, over loopback.

    python benchmarks/soak.py [--seconds 120] [--clients 4] [--json]

Starts `openbind serve` in a process of its own. Honest clients send texts, images, audio and
classifications for half of the time alone, and for the other half beside bombs from another
address: small files that decode to gigabytes or for minutes, bulk texts, JSON of millions of
values, silent connections. Then SIGTERM.

Fails if an honest request gets anything but 200, if the 99th percentile of their latencies with
bombs is `--factor` times that without them or more, if a health check takes longer than
`HEALTH_SECONDS`, if memory grows by more than `MEMORY_BYTES`, or if the service takes longer than
30 s to end.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from serving import MakeRequest, data_url, make_kinds, resident_bytes

FACTOR = 3.0
HEALTH_SECONDS = 1.0
MEMORY_BYTES = 1 << 30
STOP_SECONDS = 30.0
BOMBER = "127.0.0.2"
BOMBERS = 3
Body = dict[str, Any] | bytes


@dataclass
class Tally:
    """What honest clients saw in one half."""

    seconds: list[float] = field(default_factory=list)
    by_kind: dict[str, list[float]] = field(default_factory=dict)
    health: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    memory: list[int] = field(default_factory=list)


def chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def png(width: int, height: int) -> bytes:
    """A PNG of zeros."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    row = bytes(1 + width)
    pixels = zlib.compress(row * height if height < 100_000 else bytes((1 + width) * height))
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def gif(side: int, frames: int) -> bytes:
    """A GIF whose every frame is one pixel on a large screen."""
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"\x21\xf9\x04\0\x05\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0"
    return head + frame * frames + b";"


def progressive(side: int, scans: int) -> bytes:
    """A progressive JPEG with a scan repeated."""
    out = io.BytesIO()
    Image.new("L", (side, side)).save(out, "JPEG", progressive=True)
    data = out.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + b"\xff\xd9"


def wav(rate_hz: int, samples: int) -> bytes:
    """A silent WAV of any rate."""
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate_hz, rate_hz, 1, 8)
    data = b"data" + struct.pack("<I", samples) + b"\x80" * samples
    return b"RIFF" + struct.pack("<I", 4 + len(head) + len(data)) + b"WAVE" + head + data


def npy() -> bytes:
    """An array whose header claims 80 TB."""
    out = io.BytesIO()
    shape = (10**7, 10**6)
    np.lib.format.write_array_header_1_0(
        out, {"descr": "<f8", "fortran_order": False, "shape": shape}
    )
    return out.getvalue()


def make_bombs() -> list[tuple[str, Body]]:
    """Return requests that want far more than they seem to."""
    files = [
        ("image", png(40_000, 1)),
        ("depth", png(1, 30_000)),
        ("image", png(8_000, 8_000)),
        ("image", progressive(4_000, 300)),
        ("video", gif(2_000, 20_000)),
        ("video", gif(8_000, 300)),
        ("audio", wav(2_000_000_000, 32_000)),
        ("audio", wav(2, 600)),
        ("depth", npy()),
        ("imu", b"," * 5_000_000),
    ]
    embed = "/v1/embeddings"
    bombs: list[tuple[str, Body]] = [
        (embed, {"modality": kind, "input": data_url(content)}) for kind, content in files
    ]
    long = "a longer text with words of several letters " * 300
    return [
        *bombs,
        (embed, {"input": [f"{n} {long}" for n in range(300)]}),
        (embed, b'{"input": [' + b"{}," * 3_000_000 + b"{}]}"),
        ("/v1/search", b'{"parts": [' + b"{}," * 3_000_000 + b"{}]}"),
        ("/v1/classify", {"input": "x", "labels": ["a" * 99] * 2000, "templates": ["{}"] * 1000}),
    ]


def run_honest(url: str, end: float, seed: int, kinds: dict[str, MakeRequest], seen: Tally) -> None:
    """Send requests one after another until the end."""
    rng = random.Random(seed)
    with httpx.Client(base_url=url, timeout=120) as client:
        while time.perf_counter() < end:
            name = rng.choice(list(kinds))
            path, body = kinds[name](rng)
            start = time.perf_counter()
            status = client.post(path, json=body).status_code
            seconds = time.perf_counter() - start
            seen.seconds.append(seconds)
            seen.by_kind.setdefault(name, []).append(seconds)
            if status != 200:
                seen.failures[f"{name}: {status}"] += 1
            time.sleep(rng.uniform(0, 0.2))


def run_health(url: str, end: float, pid: int, seen: Tally) -> None:
    """Check the health and the memory of the service until the end."""
    with httpx.Client(base_url=url, timeout=60) as client:
        while time.perf_counter() < end:
            start = time.perf_counter()
            client.get("/health").raise_for_status()
            seen.health.append(time.perf_counter() - start)
            seen.memory.append(resident_bytes(pid))
            time.sleep(0.2)


def run_bomber(url: str, end: float, bombs: Iterator[tuple[str, bytes]]) -> None:
    """Send bombs; now and then leave before the answer."""
    rng = random.Random(0)
    transport = httpx.HTTPTransport(local_address=BOMBER)
    headers = {"Content-Type": "application/json"}
    with httpx.Client(base_url=url, transport=transport, timeout=60) as client:
        while time.perf_counter() < end:
            path, content = next(bombs)
            timeout = 0.5 if rng.random() < 0.2 else max(1.0, end - time.perf_counter())
            with suppress(httpx.HTTPError):
                client.post(path, content=content, headers=headers, timeout=timeout)


def hold_connections(url: str, end: float) -> None:
    """Keep many connections open that send nothing, or half a head."""
    host, port = url.removeprefix("http://").rsplit(":", 1)
    held: list[socket.socket] = []
    while time.perf_counter() < end:
        with suppress(OSError):
            made = socket.create_connection((host, int(port)), 5, (BOMBER, 0))
            made.sendall(b"GET /health HT" if len(held) % 2 else b"")
            held.append(made)
        if len(held) > 600:
            held.pop(0).close()
        time.sleep(0.01)
    for connection in held:
        connection.close()


def run_half(url: str, pid: int, clients: int, seconds: float, *, bombs: bool) -> Tally:
    """Run honest clients for a while, alone or beside bombs."""
    seen, end = Tally(), time.perf_counter() + seconds
    kinds = make_kinds(has_index=False)
    del kinds["32 texts"]
    calls: list[Callable[[], None]] = [lambda: run_health(url, end, pid, seen)]
    for seed in range(clients):
        calls.append(lambda seed=seed: run_honest(url, end, seed, kinds, seen))  # type: ignore[misc]
    command = [sys.executable, __file__, "--seconds", str(seconds), "--bomb", url]
    with subprocess.Popen(command) if bombs else nullcontext():
        run_all(calls)
    return seen


def bomb(url: str, seconds: float) -> None:
    """Send bombs for a while, at low priority: in earnest they come from another machine."""
    os.nice(10)
    made = [
        (path, body if isinstance(body, bytes) else json.dumps(body).encode())
        for path, body in make_bombs()
    ]
    end = time.perf_counter() + seconds
    calls: list[Callable[[], None]] = [lambda: hold_connections(url, end)]
    for first in range(BOMBERS):
        turns = itertools.islice(itertools.cycle(made), 5 * first, None)
        calls.append(lambda turns=turns: run_bomber(url, end, turns))  # type: ignore[misc]
    run_all(calls)


def run_all(calls: list[Callable[[], None]]) -> None:
    """Run functions in threads, and wait for all."""
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def p99(seconds: list[float]) -> float:
    return float(np.percentile(seconds, 99))


def summarize(alone: Tally, beside: Tally, stop_seconds: float, factor: float) -> dict[str, Any]:
    """Return the numbers, and what is wrong with them."""
    growth = max(beside.memory) - max(alone.memory)
    wrong = [f"honest requests failed: {dict(beside.failures)}"] if beside.failures else []
    if p99(beside.seconds) >= factor * p99(alone.seconds):
        wrong.append(f"p99 is {p99(beside.seconds) / p99(alone.seconds):.1f} times that without")
    if max(beside.health) > HEALTH_SECONDS:
        wrong.append(f"a health check took {max(beside.health):.2f} s")
    if growth > MEMORY_BYTES:
        wrong.append(f"memory grew by {growth >> 20} MB")
    if stop_seconds > STOP_SECONDS:
        wrong.append(f"it took {stop_seconds:.0f} s to end")
    return {
        "honest requests": [len(alone.seconds), len(beside.seconds)],
        "p50": [round(float(np.median(each.seconds)), 3) for each in (alone, beside)],
        "p99": [round(p99(each.seconds), 3) for each in (alone, beside)],
        "p99 by kind": {
            name: [round(p99(each.by_kind.get(name, [np.nan])), 3) for each in (alone, beside)]
            for name in sorted(alone.by_kind)
        },
        "p99 of health": [round(p99(each.health), 3) for each in (alone, beside)],
        "memory in MB": [max(each.memory) >> 20 for each in (alone, beside)],
        "seconds to end": round(stop_seconds, 1),
        "wrong": wrong,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--factor", type=float, default=FACTOR, help="largest ratio of p99")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--bomb", metavar="URL", help="send bombs there, and nothing else")
    given = parser.parse_args()
    if given.bomb:
        bomb(given.bomb, given.seconds)
        return 0
    command = [sys.executable, "-m", "openbind", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as service:
        assert service.stderr is not None
        address = re.search(r"http://[^/]+", service.stderr.readline())
        assert address
        threading.Thread(target=service.stderr.read, daemon=True).start()
        url, half = address[0], given.seconds / 2
        try:
            run_half(url, service.pid, given.clients, min(5, half), bombs=False)  # warm up
            alone = run_half(url, service.pid, given.clients, half, bombs=False)
            beside = run_half(url, service.pid, given.clients, half, bombs=True)
            start = time.perf_counter()
            service.terminate()
            service.wait(2 * STOP_SECONDS)
        finally:
            service.kill()
        found = summarize(alone, beside, time.perf_counter() - start, given.factor)
    for name, value in {} if given.json else found.items():
        print(f"{name:20} {value}")
    if given.json:
        print(json.dumps(found, indent=1))
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
